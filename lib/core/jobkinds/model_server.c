/* model_server.c - ModelServer: a server that stays. docs/portable-kinds.md explains every field.
 */
#include "core/jobkinds/spec.h"

static const SlSpecField http_fields[] = {
    {.key = "path", .type = SL_SPEC_URL_PATH, .required = true},
    {.key = NULL},
};
static const SlSpecField exec_fields[] = {
    {.key = "command", .type = SL_SPEC_TEXTS, .least = 1, .most = 256, .required = true},
    {.key = NULL},
};
static const SlSpecField probe_fields[] = {
    {.key = "httpGet", .type = SL_SPEC_OBJECT, .fields = http_fields},
    {.key = "exec", .type = SL_SPEC_OBJECT, .fields = exec_fields},
    {.key = "period", .type = SL_SPEC_DURATION, .otherwise = "\"5s\""},
    {.key = "timeout", .type = SL_SPEC_DURATION, .otherwise = "\"2s\""},
    {.key = "failureThreshold", .type = SL_SPEC_INT, .least = 1, .most = 100, .otherwise = "3"},
    {.key = NULL},
};
static const SlSpecField native_kubernetes_fields[] = {
    {.key = "as", .type = SL_SPEC_TEXT},
    {.key = "patch", .type = SL_SPEC_FREE},
    {.key = NULL},
};
static const SlSpecField native_fields[] = {
    {.key = "kubernetes", .type = SL_SPEC_OBJECT, .fields = native_kubernetes_fields},
    {.key = "slurm", .type = SL_SPEC_FREE},
    {.key = NULL},
};

static void check_probe(const json_t *probe, const char *where, GPtrArray *problems)
{
    bool http = json_object_get(probe, "httpGet") != NULL;
    bool exec = json_object_get(probe, "exec") != NULL;
    if (json_is_object(probe) && http == exec) {
        sl_spec_problem(problems, "%s: needs httpGet: {path} or exec: {command}, one of them",
                        where);
    }
}

static const SlSpecField fields[] = {
    {.key = "image", .type = SL_SPEC_TEXT},
    {.key = "command", .type = SL_SPEC_TEXTS, .least = 1, .most = 256},
    {.key = "args", .type = SL_SPEC_TEXTS, .least = 0, .most = 768},
    {.key = "env",
     .type = SL_SPEC_OBJECTS,
     .least = 0,
     .most = 256,
     .fields = sl_spec_env_fields,
     .check = sl_spec_check_env},
    {.key = "files", .type = SL_SPEC_FILES},
    {.key = "model", .type = SL_SPEC_MODEL},
    {.key = "port", .type = SL_SPEC_INT, .least = 1, .most = 65535, .required = true},
    {.key = "replicas", .type = SL_SPEC_INT, .least = 0, .most = 1000, .otherwise = "1"},
    {.key = "resources",
     .type = SL_SPEC_OBJECT,
     .fields = sl_spec_resource_fields,
     .otherwise = "{}"},
    {.key = "probe", .type = SL_SPEC_OBJECT, .fields = probe_fields, .check = check_probe},
    {.key = "grace", .type = SL_SPEC_DURATION, .otherwise = "\"30s\""},
    {.key = "native", .type = SL_SPEC_OBJECT, .fields = native_fields},
    {.key = NULL},
};

static void validate(const json_t *object, GPtrArray *problems)
{
    sl_spec_validate(object, "ModelServer", fields, sl_spec_hints, problems);
    sl_spec_check_program(json_object_get(object, "spec"), problems);
}

static void defaults(json_t *object)
{
    sl_spec_defaults(object, fields);
}

static void items(const json_t *object, GPtrArray *ret_items)
{
    sl_spec_add_item(ret_items, sl_json_at(object, "spec.model"));
}

static int64_t gpus(const json_t *object)
{
    return CLAMP(sl_json_int(object, "spec.resources.gpu", 0), 0, 64) *
           CLAMP(sl_json_int(object, "spec.replicas", 1), 0, 1000);
}

const SlJobKindOps sl_jobkind_model_server = {
    .kind = "ModelServer",
    .is_run = false,
    .validate = validate,
    .defaults = defaults,
    .items = items,
    .gpus = gpus,
};
