/* fields.h - who owns which field of an object: `metadata.managedFields`, in the format FieldsV1 of
 * sigs.k8s.io/structured-merge-diff. Pure. */
#pragma once
#include "base/json.h"

/* What @manager applied (server-side apply of the object itself, not of a subresource) and still
 * owns; NULL = nothing. Borrowed from @object. */
const json_t *sl_kube_fields(const json_t *object, const char *manager);
/* Path of the first field of @wanted that @fields don't have, ".spec.replicas"; NULL = all are there.
 * What the server keeps no owner of is passed over: identity, status, nulls, what is empty. (transfer
 * full) */
char *sl_kube_fields_lost(const json_t *fields /* nullable */, const json_t *wanted);
/* The other manager that wrote last (not a status), "" = none. Borrowed from @object. */
const char *sl_kube_fields_other(const json_t *object, const char *manager);
