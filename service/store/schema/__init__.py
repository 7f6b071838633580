"""The tables, as plain typed records: no behaviour, no relationships, no lazy loading."""

from service.store.schema.base import Base
from service.store.schema.campaigns import Campaign, Revision
from service.store.schema.consent import (
    Checkpoint,
    ConfirmationMail,
    ConsentEvent,
    Context,
    EventSeal,
    Form,
    FormSnapshot,
    MailTemplate,
    Notice,
    Signup,
    Statement,
    SubjectKey,
)
from service.store.schema.content import Article, ArticleTopic, Source
from service.store.schema.deliveries import Attempt, Delivery, SendingRate, WorkerProcess
from service.store.schema.digests import Digest, Issue, MailedArticle, Run
from service.store.schema.operators import ApiToken, AuditEntry, IdempotentRequest
from service.store.schema.privacy import (
    AddressChange,
    AddressKeyVersion,
    Erasure,
    FormerAddress,
    Import,
    ImportRow,
    PrivacyRequest,
    RetentionRun,
)
from service.store.schema.subscribers import (
    List,
    Subscriber,
    SubscriberTopic,
    Subscription,
    Suppression,
    Topic,
)
from service.store.schema.watching import CampaignWatch, OperatorMail, OperatorNotice, RelayTrouble

__all__ = [
    "AddressChange",
    "AddressKeyVersion",
    "ApiToken",
    "Article",
    "ArticleTopic",
    "Attempt",
    "AuditEntry",
    "Base",
    "Campaign",
    "CampaignWatch",
    "Checkpoint",
    "ConfirmationMail",
    "ConsentEvent",
    "Context",
    "Delivery",
    "Digest",
    "Erasure",
    "EventSeal",
    "Form",
    "FormSnapshot",
    "FormerAddress",
    "IdempotentRequest",
    "Import",
    "ImportRow",
    "Issue",
    "List",
    "MailTemplate",
    "MailedArticle",
    "Notice",
    "OperatorMail",
    "OperatorNotice",
    "PrivacyRequest",
    "RelayTrouble",
    "RetentionRun",
    "Revision",
    "Run",
    "SendingRate",
    "Signup",
    "Source",
    "Statement",
    "SubjectKey",
    "Subscriber",
    "SubscriberTopic",
    "Subscription",
    "Suppression",
    "Topic",
    "WorkerProcess",
]
