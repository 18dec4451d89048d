/* training_job.c - TrainingJob: a run with an end. docs/portable-kinds.md explains every field. */
#include "core/jobkinds/spec.h"
#include <string.h>

static const char *const signals[] = {"TERM",    "INT",     "QUIT",   "HUP",     "USR1",
                                      "USR2",    "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP",
                                      "SIGUSR1", "SIGUSR2", NULL};
static const char *const starts[] = {"auto", "manual", NULL};
static const char *const changes[] = {"keep", "queue", "replace", NULL};
static const char *const waits[] = {"admitted", "running", "finished", NULL};
static const char *const placements[] = {"one", NULL};

static const SlSpecField input_fields[] = {
    {.key = "name", .type = SL_SPEC_NAME, .required = true},
    {.key = "model", .type = SL_SPEC_MODEL, .required = true},
    {.key = NULL},
};
static const SlSpecField output_fields[] = {
    {.key = "name", .type = SL_SPEC_NAME, .required = true},
    {.key = "path", .type = SL_SPEC_PATH},
    {.key = NULL},
};
static const SlSpecField retry_fields[] = {
    {.key = "user", .type = SL_SPEC_INT, .least = 0, .most = 100, .otherwise = "0"},
    {.key = "infra", .type = SL_SPEC_INT, .least = 0, .most = 100, .otherwise = "3"},
    {.key = "gpu", .type = SL_SPEC_INT, .least = 0, .most = 100, .otherwise = "3"},
    {.key = NULL},
};
static const SlSpecField checkpoint_fields[] = {
    {.key = "resume", .type = SL_SPEC_BOOL, .otherwise = "true"},
    {.key = "every", .type = SL_SPEC_DURATION},
    {.key = NULL},
};
static const SlSpecField stop_fields[] = {
    {.key = "signal", .type = SL_SPEC_WORD, .words = signals, .otherwise = "\"TERM\""},
    {.key = "grace", .type = SL_SPEC_DURATION, .otherwise = "\"30s\""},
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
    {.key = "inputs", .type = SL_SPEC_OBJECTS, .least = 0, .most = 32, .fields = input_fields},
    {.key = "outputs", .type = SL_SPEC_OBJECTS, .least = 0, .most = 32, .fields = output_fields},
    {.key = "numNodes", .type = SL_SPEC_INT, .least = 1, .most = 4096, .otherwise = "1"},
    {.key = "numProcPerNode", .type = SL_SPEC_INT, .least = 1, .most = 64, .otherwise = "1"},
    {.key = "resourcesPerNode",
     .type = SL_SPEC_OBJECT,
     .fields = sl_spec_resource_fields,
     .otherwise = "{}"},
    {.key = "queue", .type = SL_SPEC_TEXT},
    {.key = "priority", .type = SL_SPEC_INT, .least = -1000000, .most = 1000000},
    {.key = "timeLimit", .type = SL_SPEC_DURATION},
    {.key = "retries", .type = SL_SPEC_OBJECT, .fields = retry_fields, .otherwise = "{}"},
    {.key = "checkpoint", .type = SL_SPEC_OBJECT, .fields = checkpoint_fields, .otherwise = "{}"},
    {.key = "stop", .type = SL_SPEC_OBJECT, .fields = stop_fields, .otherwise = "{}"},
    {.key = "start", .type = SL_SPEC_WORD, .words = starts, .otherwise = "\"auto\""},
    {.key = "onChange", .type = SL_SPEC_WORD, .words = changes, .otherwise = "\"keep\""},
    {.key = "waitFor", .type = SL_SPEC_WORD, .words = waits, .otherwise = "\"admitted\""},
    {.key = "placement", .type = SL_SPEC_WORD, .words = placements, .otherwise = "\"one\""},
    {.key = "native", .type = SL_SPEC_OBJECT, .fields = native_fields},
    {.key = NULL},
};

/* Names become SLUICE_INPUT_<NAME>: "a-b" is A_B, so no two of a list may meet there. Names are DNS
 * labels: '-' is the only character that changes, and no label has '_', so they can't. Paths of
 * outputs may not lie inside each other. */
static void check_outputs(const json_t *outputs, GPtrArray *problems)
{
    size_t count = json_array_size(outputs);
    for (size_t i = 0; i < count; i++) {
        const char *one = sl_json_str(json_array_get(outputs, i), "path");
        for (size_t n = 0; one != NULL && n < count; n++) {
            const char *two = sl_json_str(json_array_get(outputs, n), "path");
            size_t len = strlen(one);
            if (two != NULL && n != i && strncmp(one, two, len) == 0 &&
                (two[len] == '/' || (two[len] == '\0' && n > i))) {
                sl_spec_problem(problems, "spec.outputs.%zu.path: lies in the path of outputs.%zu",
                                n, i);
            }
        }
    }
}

static void validate(const json_t *object, GPtrArray *problems)
{
    sl_spec_validate(object, "TrainingJob", fields, sl_spec_hints, problems);
    const json_t *spec = json_object_get(object, "spec");
    sl_spec_check_program(spec, problems);
    check_outputs(json_object_get(spec, "outputs"), problems);
}

static void defaults(json_t *object)
{
    sl_spec_defaults(object, fields);
    size_t i = 0;
    json_t *output = NULL;
    json_array_foreach(json_object_get(json_object_get(object, "spec"), "outputs"), i, output)
    {
        const char *name = json_string_value(json_object_get(output, "name"));
        if (name != NULL && json_object_get(output, "path") == NULL) {
            g_autofree char *path = g_strdup_printf("outputs/%s", name);
            json_object_set_new(output, "path", json_string(path));
        }
    }
}

static void items(const json_t *object, GPtrArray *ret_items)
{
    size_t i = 0;
    json_t *input = NULL;
    json_array_foreach(sl_json_at(object, "spec.inputs"), i, input)
    {
        sl_spec_add_item(ret_items, json_object_get(input, "model"));
    }
}

static int64_t gpus(const json_t *object)
{
    return CLAMP(sl_json_int(object, "spec.resourcesPerNode.gpu", 0), 0, 64) *
           CLAMP(sl_json_int(object, "spec.numNodes", 1), 1, 4096);
}

const SlJobKindOps sl_jobkind_training_job = {
    .kind = "TrainingJob",
    .is_run = true,
    .validate = validate,
    .defaults = defaults,
    .items = items,
    .gpus = gpus,
};
