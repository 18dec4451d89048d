/* fleet_jsonschema.c - JSON Schema (draft 7) of the fleet documents, for editors. Made from the tables that check them. */
#include "render/fleet.h"
#include "render/fleet_schema.h"

json_t *sl_fleet_json_schema(void)
{
    json_t *definitions = json_object(), *choices = json_array();
    for (const char *const *kind = sl_fleet_kinds(); *kind; kind++) {
        g_autofree char *ref = g_strconcat("#/definitions/", *kind, NULL);
        json_object_set_new(definitions, *kind, sl_shape_schema(sl_fleet_shape(*kind)));
        /* if/then instead of oneOf: an editor then shows the mistake itself, not "matches none". */
        json_array_append_new(choices, json_pack("{s:{s:{s:{s:s}}}, s:{s:s}}", "if", "properties", "kind", "const", *kind, "then",
                                                 "$ref", ref));
    }
    return json_pack("{s:s, s:s, s:s, s:[s,s], s:{s:{s:o}}, s:o, s:o}", "$schema", "http://json-schema.org/draft-07/schema#",
                     "title", "Fleet documents of Sluice", "type", "object", "required", "apiVersion", "kind", "properties",
                     "kind", "enum", sl_json_strv(sl_fleet_kinds()), "allOf", choices, "definitions", definitions);
}
