/* fleet_kinds.c - the tables of Fleet, Repository, Environment and Application: what each field may hold. */
#include "base/text.h"
#include "render/fleet_schema.h"
#include "sluice/gate.h"
#include "sluice/types.h"
#include <string.h>

#define PARTS_MAX 64         /* parts of one environment; each is rendered on its own */
#define PATHS_MAX 256
#define ITEMS_MAX 64
#define GATES_MAX 32
#define AFTER_MAX 32

static const SlShape text_shape = {.type = SL_SHAPE_STRING};
static const SlShape name_shape = {.type = SL_SHAPE_NAME};
static const SlShape path_shape = {.type = SL_SHAPE_PATH};
static const SlShape duration_shape = {.type = SL_SHAPE_DURATION};
static const SlShape labels_shape = {.type = SL_SHAPE_LABELS};
static const SlShape not_yet_shape = {.type = SL_SHAPE_NOT_YET};
static const SlShape digest_shape = {.type = SL_SHAPE_DIGEST};

static const char *const api_words[] = {SL_API_VERSION, NULL};
static const SlShape api_shape = {.type = SL_SHAPE_WORD, .words = api_words};
static const SlField metadata_fields[] = {
    {"name", &name_shape, true, "write metadata: {name: ...}"},
    {"labels", &labels_shape, false, NULL},
    {"annotations", &labels_shape, false, NULL},
    {0},
};
static const SlShape metadata_shape = {.type = SL_SHAPE_OBJECT, .fields = metadata_fields};

#define DOCUMENT(noun, word, spec_required)                                                              \
    static const char *const noun##_words[] = {word, NULL};                                              \
    static const SlShape noun##_kind = {.type = SL_SHAPE_WORD, .words = noun##_words};                   \
    static const SlField noun##_document[] = {                                                           \
        {"apiVersion", &api_shape, true, "write apiVersion: " SL_API_VERSION},                           \
        {"kind", &noun##_kind, true, NULL},                                                              \
        {"metadata", &metadata_shape, true, "write metadata: {name: ...}"},                              \
        {"spec", &noun##_spec, spec_required, "what the document says"},                                 \
        {0},                                                                                             \
    };                                                                                                   \
    static const SlShape noun##_shape = {.type = SL_SHAPE_OBJECT, .fields = noun##_document};

/* ---- Fleet ---- */

static void check_store(SlDocCheck *check, const json_t *value, const char *path)
{
    const char *directory = sl_json_str(value, "directory");
    if (!directory)
        sl_doc_error(check, path, SLU_FLEET_MISSING_KEY, "write modelStore: {directory: models}", "`directory` is missing");
}

static const SlField state_fields[] = {
    {"path", &text_shape, false, "Folder of the bare repository; default: state.git beside the coordinator's state"},
    {"url", &text_shape, false, "Remote to which every change is pushed"},
    {"credentials", &name_shape, false, "Name of an entry of the coordinator's configuration"},
    {0},
};
static const SlShape state_shape = {.type = SL_SHAPE_OBJECT, .fields = state_fields};
static const SlField store_fields[] = {
    {"directory", &text_shape, false, "Folder that holds models by digest; relative to the coordinator's state folder"},
    {"oci", &not_yet_shape, false, NULL},
    {"s3", &not_yet_shape, false, NULL},
    {0},
};
static const SlShape store_shape = {.type = SL_SHAPE_OBJECT, .fields = store_fields, .check = check_store};
static const SlShape gpus_shape = {.type = SL_SHAPE_INT, .min = 0, .max = 1000000};
static const SlField limits_fields[] = {
    {"autoStartGPUs", &gpus_shape, false, "A run that takes more GPUs is started by a person (default 8)"},
    {"protectAfter", &duration_shape, false, "Stopping a run older than this needs a signed reason (default 1h)"},
    {0},
};
static const SlShape limits_shape = {.type = SL_SHAPE_OBJECT, .fields = limits_fields};
static const SlField kubernetes_fields[] = {
    {"carryImage", &text_shape, false, "Image of sluice-carry in Pods of runs and servers (default registry.sluice.internal/sluice-carry:v1alpha1)"},
    {0},
};
static const SlShape kubernetes_shape = {.type = SL_SHAPE_OBJECT, .fields = kubernetes_fields};
static const char *const signed_words[] = {"required", NULL};
static const SlShape signed_shape = {.type = SL_SHAPE_WORD, .words = signed_words};
static const SlField commits_fields[] = {
    {"signed", &signed_shape, true, "required: a commit that no person of the root signed is not read"},
    {0},
};
static const SlShape commits_shape = {.type = SL_SHAPE_OBJECT, .fields = commits_fields};
static const SlField fleet_fields[] = {
    {"commits", &commits_shape, false, "What is demanded of commits of the fleet repository"},
    {"stateRepository", &state_shape, false, "Where ledger and environment branches are kept"},
    {"modelStore", &store_shape, false, "Where models are kept"},
    {"limits", &limits_shape, false, "Limits that hold in the whole fleet"},
    {"kubernetes", &kubernetes_shape, false, "How portable kinds are expanded for clusters with Kubernetes"},
    {0},
};
static const SlShape fleet_spec = {.type = SL_SHAPE_OBJECT, .fields = fleet_fields};
DOCUMENT(fleet, "Fleet", false)

/* ---- Repository ---- */

static void check_url(SlDocCheck *check, const json_t *value, const char *path)
{
    const char *url = json_string_value(value);
    const char *scheme = strstr(url, "://");
    bool http = g_str_has_prefix(url, "http://") || g_str_has_prefix(url, "https://");
    const char *rest = scheme ? scheme + 3 : url;
    size_t host = strcspn(rest, "/");
    if (!sl_is_clean_utf8(url, strlen(url), false) || *url == '-' || strpbrk(url, " \t\n"))
        sl_doc_error(check, path, SLU_FLEET_VALUE, NULL, "must not begin with - or hold spaces or control characters");
    else if (http && memchr(rest, '@', host))
        sl_doc_error(check, path, SLU_FLEET_VALUE, "write `credentials: NAME` and put the token into the coordinator's configuration",
                     "must not hold a user or a password");
    else if (!http && *url != '/')
        sl_doc_error(check, path, SLU_FLEET_VALUE, "file://, ssh:// and git@ are not supported",
                     "`%.100s` must be an absolute path or begin with https:// or http://", url);
}

static const SlShape url_shape = {.type = SL_SHAPE_STRING, .check = check_url};
static const SlField repository_fields[] = {
    {"url", &url_shape, true, "https://... or an absolute path"},
    {"branch", &text_shape, false, "Branch to follow; default: the repository's own"},
    {"credentials", &name_shape, false, "Name of an entry of the coordinator's configuration"},
    {"ca", &name_shape, false, "Name of a CA file of the coordinator's configuration"},
    {"hostKey", &not_yet_shape, false, NULL},
    {"commits", &commits_shape, false, "What is demanded of its commits"},
    {0},
};
static const SlShape repository_spec = {.type = SL_SHAPE_OBJECT, .fields = repository_fields};
DOCUMENT(repository, "Repository", true)

/* ---- gates, clusters ---- */

static void gate_messages(SlDocCheck *check, const SlGateOps *gate, const json_t *config, const char *path)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new_with_free_func(g_free);
    gate->validate(config, messages);
    for (guint i = 0; i < messages->len; i++) {
        /* "require.0: why": the part before the colon is a path inside the gate. */
        const char *message = g_ptr_array_index(messages, i);
        const char *colon = strstr(message, ": ");
        bool has_path = colon && strcspn(message, " `") > (size_t)(colon - message);
        g_autofree char *inner = has_path ? g_strndup(message, (gsize)(colon - message)) : NULL;
        g_autofree char *at = inner ? g_strconcat(path, ".", inner, NULL) : g_strdup(path);
        sl_doc_error(check, at, SLU_FLEET_GATE, NULL, "%s", has_path ? colon + 2 : message);
    }
}

static const char *not_yet_gate(const char *type)
{
    static const char *const later[] = {"soak", "metric", "window", "commitStatus", "command", "http", NULL};
    return g_strv_contains(later, type) ? "this gate is not there yet in this version" : NULL;
}

static void check_gate(SlDocCheck *check, const json_t *value, const char *path)
{
    if (!json_is_object(value) || json_object_size(value) != 1) {
        sl_doc_error(check, path, SLU_FLEET_GATE, "write - run: {job: ..., require: [...]} or - approval: {}",
                     "a gate is a map with one key, its type");
        return;
    }
    const char *type = json_object_iter_key(json_object_iter((json_t *)value));
    const json_t *config = json_object_get(value, type);
    const SlGateOps *gate = sl_gate_find(type);
    g_autofree char *at = g_strconcat(path, ".", type, NULL);
    if (!gate) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        for (const SlGateOps *const *row = sl_gates(); *row; row++)
            g_ptr_array_add(names, (char *)(*row)->type);
        g_ptr_array_add(names, NULL);
        g_autofree char *all = sl_words_text((const char *const *)names->pdata);
        g_autofree char *hint = g_strdup_printf("known: %s", all);
        const char *later = not_yet_gate(type);
        sl_doc_error(check, at, SLU_FLEET_GATE, later ? later : hint, "there is no gate `%.64s`", type);
        return;
    }
    if (!json_is_object(config))
        sl_doc_error(check, at, SLU_FLEET_GATE, "write {} if there is nothing to say", "must be a map");
    else
        gate_messages(check, gate, config, at);
}

static json_t *gate_schema(void)
{
    json_t *properties = json_object();
    for (const SlGateOps *const *row = sl_gates(); *row; row++)
        json_object_set_new(properties, (*row)->type, json_pack("{s:s}", "type", "object"));
    return json_pack("{s:s, s:i, s:i, s:b, s:o}", "type", "object", "minProperties", 1, "maxProperties", 1,
                     "additionalProperties", 0, "properties", properties);
}

static const SlShape gate_shape = {.type = SL_SHAPE_CUSTOM, .check = check_gate, .schema = gate_schema};
static const SlShape gates_shape = {.type = SL_SHAPE_LIST, .item = &gate_shape, .max = GATES_MAX};
static const SlField clusters_fields[] = {
    {"matchLabels", &labels_shape, false, "Labels that a cluster must have, all of them"},
    {0},
};
static const SlShape clusters_shape = {.type = SL_SHAPE_OBJECT, .fields = clusters_fields};

/* ---- Environment ---- */

static void check_name_list(SlDocCheck *check, const json_t *list, const char *path)
{
    static const SlShape names_shape = {.type = SL_SHAPE_LIST, .item = &name_shape, .max = AFTER_MAX};
    sl_shape_check(check, &names_shape, list, path);
}

/* after: dev | [dev, eu] | {all: [..]} | {any: [..]} | {atLeast: 2, of: [..]} */
static void check_after(SlDocCheck *check, const json_t *value, const char *path)
{
    if (json_is_string(value)) {
        sl_shape_check(check, &name_shape, value, path);
        return;
    }
    if (json_is_array(value)) {
        check_name_list(check, value, path);
        return;
    }
    bool one = json_is_object(value) && json_object_size(value) == 1;
    const char *key = one ? json_object_iter_key(json_object_iter((json_t *)value)) : "";
    if (one && (g_str_equal(key, "all") || g_str_equal(key, "any"))) {
        g_autofree char *at = g_strconcat(path, ".", key, NULL);
        check_name_list(check, json_object_get(value, key), at);
        return;
    }
    const json_t *least = json_object_get(value, "atLeast"), *of = json_object_get(value, "of");
    if (!json_is_integer(least) || !json_is_array(of) || json_object_size(value) != 2) {
        sl_doc_error(check, path, SLU_FLEET_VALUE, "write [dev], {all: [a, b]}, {any: [a, b]} or {atLeast: 2, of: [a, b, c]}",
                     "is not understood");
        return;
    }
    g_autofree char *at = g_strconcat(path, ".of", NULL);
    check_name_list(check, of, at);
    json_int_t need = json_integer_value(least), count = (json_int_t)json_array_size(of);
    if (need < (count > 0 ? 1 : 0) || need > count)
        sl_doc_error(check, path, SLU_FLEET_VALUE, NULL, "atLeast must be from 1 to %lld, the number of names", (long long)count);
}

static json_t *after_schema(void)
{
    json_t *names = json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string");
    json_t *object = json_pack("{s:s, s:b, s:{s:O, s:O, s:O, s:{s:s}}}", "type", "object", "additionalProperties", 0,
                               "properties", "all", names, "any", names, "of", names, "atLeast", "type", "integer");
    return json_pack("{s:[{s:s}, o, o]}", "anyOf", "type", "string", names, object);
}

static const char *const mode_words[] = {"manual", "newest", NULL};
static const char *const change_words[] = {"adopt", "revert", "halt", NULL};

static void check_mode(SlDocCheck *check, const json_t *value, const char *path)
{
    static const SlShape words = {.type = SL_SHAPE_WORD, .words = mode_words};
    if (json_is_string(value) && g_str_equal(json_string_value(value), "match-upstream"))
        sl_doc_error(check, path, SLU_FLEET_NOT_YET, "use newest or manual", "match-upstream is not supported by this version");
    else
        sl_shape_check(check, &words, value, path);
}

static json_t *mode_schema(void)
{
    return json_pack("{s:o}", "enum", sl_json_strv(mode_words));
}

static const SlShape after_shape = {.type = SL_SHAPE_CUSTOM, .check = check_after, .schema = after_schema};
static const SlShape mode_shape = {.type = SL_SHAPE_CUSTOM, .check = check_mode, .schema = mode_schema};
static const SlShape change_shape = {.type = SL_SHAPE_WORD, .words = change_words};
static const SlField environment_fields[] = {
    {"after", &after_shape, false, "Environments in which a release must have succeeded before it may come here"},
    {"clusters", &clusters_shape, false, "Narrows the clusters that the registry names for this environment"},
    {"gates", &gates_shape, false, "Rules that guard entry to this environment"},
    {"promotion", &mode_shape, false, "manual (default): a person asks; newest: the newest eligible release comes by itself"},
    {"healthTimeout", &duration_shape, false, "An attempt that is not healthy by then has failed (default 10m)"},
    {"gateTimeout", &duration_shape, false, "Waiting for gates ends then (default 7d)"},
    {"onExternalChange", &change_shape, false, "When somebody else moves the environment branch (default revert; prod: halt)"},
    {"checks", &not_yet_shape, false, NULL},
    {"rollout", &not_yet_shape, false, NULL},
    {"windows", &not_yet_shape, false, NULL},
    {"pause", &not_yet_shape, false, NULL},
    {"freeze", &not_yet_shape, false, NULL},
    {0},
};
static const SlShape environment_spec = {.type = SL_SHAPE_OBJECT, .fields = environment_fields};
DOCUMENT(environment, "Environment", false)

/* ---- Application ---- */

static void check_patch_entry(SlDocCheck *check, const json_t *value, const char *path)
{
    bool by_path = json_object_get(value, "path") != NULL, here = json_object_get(value, "patch") != NULL;
    if (by_path == here)
        sl_doc_error(check, path, SLU_FLEET_VALUE, "write path: FILE, or patch: with the patch itself",
                     "needs exactly one of `path` and `patch`");
}

static void check_patch_body(SlDocCheck *check, const json_t *value, const char *path)
{
    if (!json_is_string(value) && !json_is_object(value) && !json_is_array(value))
        sl_doc_error(check, path, SLU_FLEET_VALUE, NULL, "must be a map, a list of operations, or text that holds one of them");
}

static json_t *patch_body_schema(void)
{
    return json_pack("{s:[s,s,s]}", "type", "string", "object", "array");
}

static const SlShape patch_body_shape = {.type = SL_SHAPE_CUSTOM, .check = check_patch_body, .schema = patch_body_schema};
static const SlField target_fields[] = {
    {"kind", &text_shape, false, "Kind of the objects to patch"},
    {"name", &text_shape, false, "Name; * and ? stand for other characters"},
    {"group", &text_shape, false, "API group"},
    {"version", &text_shape, false, "API version"},
    {"namespace", &text_shape, false, "Namespace; * and ? stand for other characters"},
    {"labelSelector", &text_shape, false, "Like app=web,tier!=db"},
    {0},
};
static const SlShape target_shape = {.type = SL_SHAPE_OBJECT, .fields = target_fields};
static const SlField patch_fields[] = {
    {"path", &path_shape, false, "File with the patch, relative to the source's path"},
    {"patch", &patch_body_shape, false, "The patch itself"},
    {"target", &target_shape, false, "Which objects; a strategic merge patch may name its own by kind and metadata.name"},
    {0},
};
static const SlShape patch_shape = {.type = SL_SHAPE_OBJECT, .fields = patch_fields, .check = check_patch_entry};
static const SlShape patches_shape = {.type = SL_SHAPE_LIST, .item = &patch_shape, .max = PATHS_MAX};
static const SlShape paths_shape = {.type = SL_SHAPE_LIST, .item = &path_shape, .min = 1, .max = PATHS_MAX};
static const SlField part_fields[] = {
    {"paths", &paths_shape, true, "Files and folders, relative to the source's path"},
    {"clusters", &clusters_shape, false, "Clusters that get this part (default: all of the environment)"},
    {"patches", &patches_shape, false, "What differs here"},
    {0},
};
static const SlShape part_shape = {.type = SL_SHAPE_OBJECT, .fields = part_fields};
static const SlShape parts_shape = {.type = SL_SHAPE_LIST, .item = &part_shape, .min = 1, .max = PARTS_MAX};
static const SlField app_env_fields[] = {
    {"parts", &parts_shape, true, "write parts: [{paths: [FOLDER]}]"},
    {"gates", &gates_shape, false, "Rules that guard entry of this application, besides the Environment's"},
    {0},
};
static const SlShape app_env_shape = {.type = SL_SHAPE_OBJECT, .fields = app_env_fields};
static const SlShape app_envs_shape = {.type = SL_SHAPE_MAP, .item = &app_env_shape};

static void check_item(SlDocCheck *check, const json_t *value, const char *path)
{
    const char *kind = sl_json_str_or(value, "kind", "model");
    const json_t *from = json_object_get(value, "from");
    bool job = json_object_get(from, "job"), digest = json_object_get(from, "digest");
    bool image = json_object_get(from, "image");
    g_autofree char *at = g_strconcat(path, ".from", NULL);
    if (job == digest)
        sl_doc_error(check, at, SLU_FLEET_ITEM, "write from: {job: train, output: model} or from: {digest: \"sha256:...\"}",
                     "needs a job or a digest");
    else if (job && !json_object_get(from, "output"))
        sl_doc_error(check, at, SLU_FLEET_MISSING_KEY, "which output of the job: output: model", "`output` is missing");
    else if (digest && (json_object_get(from, "output") || json_object_get(from, "environment")))
        sl_doc_error(check, at, SLU_FLEET_ITEM, "leave out output and environment", "a fixed digest has no job");
    if (image != g_str_equal(kind, "image"))
        sl_doc_error(check, at, SLU_FLEET_ITEM, "an item of kind image is from: {image: registry/name, digest: \"sha256:...\"}",
                     image ? "only an item of kind image has an `image`" : "an item of kind image needs `image` and `digest`");
    else if (image && !digest)
        sl_doc_error(check, at, SLU_FLEET_ITEM, "add digest: \"sha256:...\"", "an image is pinned by its digest");
}

static const char *const item_words[] = {"model", "dataset", "image", NULL};
static const SlShape item_kind_shape = {.type = SL_SHAPE_WORD, .words = item_words};
static const SlField from_fields[] = {
    {"job", &name_shape, false, "TrainingJob of this application whose output it is"},
    {"output", &name_shape, false, "Name of that job's output"},
    {"environment", &name_shape, false, "Environment in which the job runs (default: the first whose parts contain it)"},
    {"digest", &digest_shape, false, "A fixed one"},
    {"image", &text_shape, false, "Image name without tag, as in manifests"},
    {"oci", &not_yet_shape, false, NULL},
    {"s3", &not_yet_shape, false, NULL},
    {"huggingface", &not_yet_shape, false, NULL},
    {"mlflow", &not_yet_shape, false, NULL},
    {"git", &not_yet_shape, false, NULL},
    {0},
};
static const SlShape from_shape = {.type = SL_SHAPE_OBJECT, .fields = from_fields};
static const SlField item_fields[] = {
    {"name", &name_shape, true, "objects refer to it as model://NAME"},
    {"kind", &item_kind_shape, false, "model (default), dataset or image"},
    {"from", &from_shape, true, "where it comes from"},
    {0},
};
static const SlShape item_shape = {.type = SL_SHAPE_OBJECT, .fields = item_fields, .check = check_item};
static const SlShape items_shape = {.type = SL_SHAPE_LIST, .item = &item_shape, .max = ITEMS_MAX};
static const SlField source_fields[] = {
    {"repository", &name_shape, false, "Name of a Repository document (default: the fleet repository)"},
    {"revision", &text_shape, false, "Branch or tag (default: the repository's branch)"},
    {"path", &path_shape, false, "Folder of the application (default: the top)"},
    {0},
};
static const SlShape source_shape = {.type = SL_SHAPE_OBJECT, .fields = source_fields};
static const SlField application_fields[] = {
    {"source", &source_shape, false, "Where its files are"},
    {"namespace", &name_shape, false, "Namespace of objects that name none"},
    {"items", &items_shape, false, "Named inputs besides the files: models, datasets, images"},
    {"environments", &app_envs_shape, true, "where each part goes: environments: {dev: {parts: [{paths: [FOLDER]}]}}"},
    {0},
};
static const SlShape application_spec = {.type = SL_SHAPE_OBJECT, .fields = application_fields};
DOCUMENT(application, "Application", true)

const char *const *sl_fleet_kinds(void)
{
    static const char *const kinds[] = {"Fleet", "Repository", "Environment", "Application", NULL};
    return kinds;
}

const SlShape *sl_fleet_shape(const char *kind)
{
    static const SlShape *const shapes[] = {&fleet_shape, &repository_shape, &environment_shape, &application_shape};
    for (size_t i = 0; kind && sl_fleet_kinds()[i]; i++)
        if (g_str_equal(kind, sl_fleet_kinds()[i]))
            return shapes[i];
    return NULL;
}
