"""The tables, as plain typed records: no behaviour, no relationships, no lazy loading."""

from service.store.schema.base import Base
from service.store.schema.campaigns import Campaign, Revision
from service.store.schema.consent import ConsentEvent, Form, Notice, Signup, Statement
from service.store.schema.content import Article, ArticleTopic, Source
from service.store.schema.deliveries import Attempt, Delivery, WorkerProcess
from service.store.schema.digests import Digest, Issue, MailedArticle, Run
from service.store.schema.operators import ApiToken
from service.store.schema.subscribers import (
    List,
    Subscriber,
    SubscriberTopic,
    Subscription,
    Suppression,
    Topic,
)

__all__ = [
    "ApiToken",
    "Article",
    "ArticleTopic",
    "Attempt",
    "Base",
    "Campaign",
    "ConsentEvent",
    "Delivery",
    "Digest",
    "Form",
    "Issue",
    "List",
    "MailedArticle",
    "Notice",
    "Revision",
    "Run",
    "Signup",
    "Source",
    "Statement",
    "Subscriber",
    "SubscriberTopic",
    "Subscription",
    "Suppression",
    "Topic",
    "WorkerProcess",
]
