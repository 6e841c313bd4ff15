"""What schemathesis must not ask: to revoke the API key that it works with, and what it takes for well-formed by mistake."""

import os

import schemathesis


@schemathesis.hook
def filter_case(context, case):
    key = (case.path_parameters or {}).get("key_id")
    if case.method == "DELETE" and key == os.environ["FUZZ_API_KEY_ID"]:
        return False
    # It takes the number 0 for a string that fits a header's pattern, whatever the pattern.
    return str((case.headers or {}).get("If-Match")) != "0"
