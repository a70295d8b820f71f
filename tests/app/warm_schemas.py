"""Generates what every start does, in the process that warm starts are forked from."""

from app.api_docs.class_schemas import schema_of, schemas_of
from app.api_docs.openapi import bodies
from app.calls import table
from app.settings import Settings

_calls = [
    call for call in table.calls(Settings.from_environment({})) if call.is_documented
]
schemas_of(bodies(_calls))
for _call in _calls:
    for _model in (_call.options, _call.request):
        if _model is not None:
            schema_of(_model)
