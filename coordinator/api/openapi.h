/* openapi.h - docs/openapi.yaml, embedded by the build. */
#pragma once
#include <stddef.h>

extern const unsigned char sl_openapi_yaml[];
extern const size_t sl_openapi_yaml_len;
