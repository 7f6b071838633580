"""The record of processing activities as one document, from settings, register and rules (GDPR 30(1); D-21)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from service.domain.activities import Activities
from service.domain.contexts import Circumstances
from service.domain.letters import Publisher
from service.domain.processors import Processor
from service.domain.retention import Retention

NOT_STATED = "not stated"


def make_records(
    publisher: Publisher,
    circumstances: Circumstances,
    processors: Iterable[Processor],
    activities: Activities,
    retention: Retention,
) -> dict[str, Any]:
    """JSON values only. Raises KeyError for an activity that names a rule which does not exist."""
    periods = {rule.id: f"{rule.what}: {rule.says()}, then {rule.then}" for rule in retention.rules}
    periods |= {kept.id: f"{kept.what}: until {kept.until}" for kept in retention.kept}
    return {
        "controller": {
            "name": publisher.name,
            "postal_address": publisher.postal_address,
            "contact": publisher.contact,
            "data_protection_officer": circumstances.data_protection_officer or "none named",
        },
        "jurisdiction": circumstances.jurisdiction or NOT_STATED,
        "supervisory_authority": circumstances.supervisory_authority or NOT_STATED,
        "storage_location": circumstances.storage_location or NOT_STATED,
        "third_country": circumstances.third_country,
        "activities": [
            {key: value for key, value in asdict(activity).items() if key != "retention"}
            | {"retention": [periods[rule] for rule in activity.retention]}
            for activity in activities.activities
        ],
        "processors": [asdict(processor) for processor in processors],
        "security_measures": list(activities.measures),
        "impact_assessment": {
            "needed": activities.assessment,
            "risks": [asdict(risk) for risk in activities.risks],
        },
    }


def write_markdown(records: Mapping[str, Any]) -> str:
    """The same to print and to sign."""
    controller = records["controller"]
    lines = [
        "# Record of processing activities",
        "",
        f"Controller: {controller['name']}, {controller['postal_address']}, {controller['contact']}  ",
        f"Data protection officer or representative: {controller['data_protection_officer']}  ",
        f"Law: {records['jurisdiction']}. Supervisory authority: {records['supervisory_authority']}  ",
        f"The data is stored: {records['storage_location']}  ",
        f"Transfer to third countries: {'yes, see the processors' if records['third_country'] else 'none'}",
        "",
    ]
    for activity in records["activities"]:
        lines += [f"## {activity['name']}", ""]
        lines += [
            f"- {label}: {activity[key]}"
            for label, key in (
                ("Purpose", "purpose"),
                ("Legal basis", "legal_basis"),
                ("Who", "subjects"),
                ("Data", "data"),
                ("Recipients", "recipients"),
            )
        ]
        lines += [f"- Kept: {period}" for period in activity["retention"]] + [""]
    lines += ["## Processors", "", *_processors(records["processors"]), ""]
    lines += ["## Security measures", "", *(f"- {measure}" for measure in records["security_measures"]), ""]
    assessment = records["impact_assessment"]
    lines += ["## Notes for an impact assessment", "", assessment["needed"], ""]
    lines += ["| risk | measure | what is left |", "|---|---|---|"]
    lines += [f"| {risk['risk']} | {risk['measure']} | {risk['left']} |" for risk in assessment["risks"]]
    return "\n".join(lines)


def _processors(processors: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"- {each['name']} ({each['country']}): {each['purpose']}; sees {', '.join(each['sees'])}; reuse of data: "
        f"{each['reuse_of_data']}; logs of {each['log_days']} days; contract: {each['contract']}; {each['contact']}"
        for each in processors
    ] or ["- none"]
