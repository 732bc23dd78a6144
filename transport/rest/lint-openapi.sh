#!/bin/sh
# Checks the OpenAPI document with the default rules of spectral and redocly. It needs Node and the npm registry.
set -eu
document=$(cd "$(dirname "$0")" && pwd)/testdata/openapi.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
printf 'extends: ["spectral:oas"]\n' >.spectral.yaml
npx --yes --package=@stoplight/spectral-cli@6 -- spectral lint --fail-severity=hint "$document"
npx --yes --package=@redocly/cli@2 -- redocly lint --extends=recommended --format=json "$document" 2>/dev/null >redocly.json || true
cat redocly.json
grep -q '"errors": 0' redocly.json && grep -q '"warnings": 0' redocly.json
