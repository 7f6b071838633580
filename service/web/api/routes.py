"""The operators' API under /api/v1: a bearer token, JSON in and out, problem+json for refusals."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1")
