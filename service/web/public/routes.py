"""Everything readers reach, in one router."""

from fastapi import APIRouter

from service.web.public.address_change import router as address_change
from service.web.public.confirm import router as confirm
from service.web.public.control import router as control
from service.web.public.information import router as information
from service.web.public.private import router as private
from service.web.public.receipt import router as receipt
from service.web.public.signup import router as signup
from service.web.public.unsubscribe import router as unsubscribe

router = APIRouter(include_in_schema=False)
for part in (signup, confirm, unsubscribe, control, private, address_change, receipt, information):
    router.include_router(part)
