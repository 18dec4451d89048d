/* yaml_quoted.h - the text of a quoted YAML scalar, from its own bytes. Pure. */
#pragma once
#include <stddef.h>

/* @raw: what stands between the quotes @quote (' or "), checked by the scanner already. Not terminated by what it
 * holds: @ret_len counts, a NUL may be inside. NULL: an escape that is none. (transfer full) */
char *sl_yaml_quoted(const char *raw, size_t len, char quote, size_t *ret_len);
