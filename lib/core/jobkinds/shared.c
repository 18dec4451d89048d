/* shared.c - what every portable kind has: environment, resources, program, hints for words of
 * other tools; and the table of kinds from jobkinds.def. */
#include "core/jobkinds/spec.h"
#include "sluice/types.h"
#include <string.h>

#define SL_JOBKIND(name) extern const SlJobKindOps sl_jobkind_##name;
#include "core/jobkinds/jobkinds.def"
#undef SL_JOBKIND

static const SlJobKindOps *const jobkinds[] = {
#define SL_JOBKIND(name) &sl_jobkind_##name,
#include "core/jobkinds/jobkinds.def"
#undef SL_JOBKIND
    NULL,
};

const SlJobKindOps *const *sl_jobkinds(void)
{
    return jobkinds;
}

const SlJobKindOps *sl_jobkind_find(const json_t *object)
{
    const char *version = sl_json_str(object, "apiVersion");
    const char *kind = sl_json_str(object, "kind");
    if (version == NULL || kind == NULL || !g_str_has_prefix(version, SL_API_GROUP "/")) {
        return NULL;
    }
    for (size_t i = 0; jobkinds[i] != NULL; i++) {
        if (strcmp(jobkinds[i]->kind, kind) == 0) {
            return jobkinds[i];
        }
    }
    return NULL;
}

const SlSpecField sl_spec_env_fields[] = {
    {.key = "name", .type = SL_SPEC_TEXT, .required = true},
    {.key = "value", .type = SL_SPEC_ANY_TEXT},
    {.key = "secret", .type = SL_SPEC_NAME},
    {.key = NULL},
};

const SlSpecField sl_spec_resource_fields[] = {
    {.key = "gpu", .type = SL_SPEC_INT, .least = 0, .most = 64, .otherwise = "0"},
    {.key = "cpu", .type = SL_SPEC_CPU},
    {.key = "memory", .type = SL_SPEC_MEMORY},
    {.key = "shm", .type = SL_SPEC_MEMORY},
    {.key = NULL},
};

/* Words of Kubernetes, Kubeflow, KServe and Slurm with the same or a near meaning. */
const char *const sl_spec_hints[] = {
    "containers",
    "the fields of the container stand in spec itself (image, command, args, env)",
    "template",
    "the fields of the container stand in spec itself (image, command, args, env)",
    "entrypoint",
    "write command",
    "nodes",
    "write numNodes",
    "nnodes",
    "write numNodes",
    "nproc_per_node",
    "write numProcPerNode",
    "nprocPerNode",
    "write numProcPerNode",
    "resources",
    "write resourcesPerNode {gpu, cpu, memory, shm}",
    "resourcesPerReplica",
    "write resources {gpu, cpu, memory, shm}",
    "nvidia.com/gpu",
    "write gpu",
    "limits",
    "write gpu, cpu, memory and shm directly",
    "requests",
    "write gpu, cpu, memory and shm directly",
    "gpus",
    "write gpu",
    "mem",
    "write memory",
    "activeDeadlineSeconds",
    "write timeLimit: 24h",
    "time",
    "write timeLimit: 24h",
    "backoffLimit",
    "write retries: {user: 0, infra: 3, gpu: 3}",
    "restartPolicy",
    "write retries: {user: 0, infra: 3, gpu: 3}",
    "terminationGracePeriodSeconds",
    "write stop: {grace: 30s}",
    "terminationGracePeriodSeconds",
    "write grace: 30s",
    "suspend",
    "write start: manual",
    "partition",
    "write queue",
    "queueName",
    "write queue",
    "ports",
    "write port: 8080",
    "containerPort",
    "write port: 8080",
    "readinessProbe",
    "write probe",
    "livenessProbe",
    "write probe",
    "storageUri",
    "write model: model://<item>",
    "modelUri",
    "write model: model://<item>",
    "valueFrom",
    "write secret: <name of the Secret>",
    "secretKeyRef",
    "write secret: <name of the Secret>",
    "periodSeconds",
    "write period: 5s",
    "timeoutSeconds",
    "write timeout: 2s",
    NULL,
};

static bool is_env_name(const char *name)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= 128 && !g_ascii_isdigit(name[0]);
    for (size_t i = 0; good && i < len; i++) {
        good = g_ascii_isalnum(name[i]) || name[i] == '_';
    }
    return good;
}

void sl_spec_check_env(const json_t *env, const char *where, GPtrArray *problems)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(env, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        const json_t *value = json_object_get(item, "value");
        const json_t *secret = json_object_get(item, "secret");
        if (name != NULL && !is_env_name(name)) {
            sl_spec_problem(problems,
                            "%s.%zu.name: must be letters, digits and _, not starting with a digit",
                            where, i);
        } else if (name != NULL &&
                   (g_str_has_prefix(name, "SLUICE_") || strcmp(name, "PORT") == 0)) {
            sl_spec_problem(problems, "%s.%zu.name: %s is set by Sluice itself", where, i, name);
        }
        if (json_is_object(item) && (value != NULL) == (secret != NULL)) {
            sl_spec_problem(problems, "%s.%zu: needs value or secret, one of them", where, i);
        }
    }
}

void sl_spec_check_program(const json_t *spec, GPtrArray *problems)
{
    if (json_is_object(spec) && json_object_get(spec, "command") == NULL &&
        json_object_get(spec, "image") == NULL) {
        sl_spec_problem(
            problems,
            "spec.command: is missing; name the program, or an image that brings its own");
    }
}
