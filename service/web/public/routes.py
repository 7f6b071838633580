"""Everything readers reach, in one router."""

from fastapi import APIRouter

from service.web.public import confirm, control, information, signup, unsubscribe

router = APIRouter(include_in_schema=False)
for module in (signup, confirm, unsubscribe, control, information):
    router.include_router(module.router)
