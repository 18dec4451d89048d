/* judge.c - our answers, for the differential tests: `judge yaml|json|sshsig NAMESPACE|commit|tree|map|bundle`. Each line of standard
 * input is a JSON string (base64 of bytes for all but yaml and json; sshsig: base64 of the signature, a space, of the message); each
 * line of output is the answer as JSON, or `error SLU<number> <message>`. */
#include "base/digest.h"
#include "core/bundle.h"
#include "core/digestmap.h"
#include "core/gitcommit.h"
#include "core/gittree.h"
#include "render/yaml.h"
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES (4 * 1024 * 1024)

static char *refusal(const GError *error)
{
    return g_strdup_printf("error SLU%d %s", error->code, error->message);
}

static char *yaml(const char *text, const char *unused)
{
    (void)unused;
    g_autofree char *document = g_strconcat("v: ", text, "\n", NULL);
    g_autoptr(GBytes) bytes = g_bytes_new(document, strlen(document));
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = sl_yaml_read("x", bytes, false, problems);
    for (guint i = 0; i < problems->len; i++) {
        const SlProblem *problem = g_ptr_array_index(problems, i);
        if (!problem->warning) {
            return g_strdup_printf("error SLU%d %s", problem->code, problem->message);
        }
    }
    return docs->len == 1 ? sl_json_canonical(sl_yaml_json(g_ptr_array_index(docs, 0)), NULL)
                          : g_strdup("error no document");
}

static char *json(const char *text, const char *unused)
{
    (void)unused;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) value = sl_json_parse(text, strlen(text), NULL, "x", &error);
    char *canonical = value != NULL ? sl_json_canonical(value, &error) : NULL;
    return canonical != NULL ? canonical : refusal(error);
}

static GBytes *unbase64(const char *text)
{
    return sl_unbase64(text, strlen(text));
}

static char *sshsig(const char *text, const char *namespace_)
{
    g_auto(GStrv) both = g_strsplit(text, " ", 2);
    g_autoptr(GBytes) armour = unbase64(both[0]), message = unbase64(both[1]);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlPublicKey) key = NULL;
    gsize len = 0, armour_len = 0;
    const char *bytes = g_bytes_get_data(message, &len);
    const char *armour_bytes = g_bytes_get_data(armour, &armour_len);
    g_autofree char *sig = g_strndup(armour_bytes != NULL ? armour_bytes : "", armour_len);
    if (!sl_sshsig_verify(sig, bytes != NULL ? bytes : "", len, namespace_, &key, &error)) {
        return refusal(error);
    }
    g_autofree char *print = sl_public_key_fingerprint(key);
    return g_strdup_printf("\"%s\"", print);
}

static char *finish(json_t *answer)
{
    char *text = sl_json_canonical(answer, NULL);
    json_decref(answer);
    return text;
}

static char *commit(const char *text, const char *unused)
{
    (void)unused;
    g_autoptr(GBytes) bytes = unbase64(text);
    g_autoptr(GError) error = NULL;
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    g_autoptr(SlGitCommit) c = sl_gitcommit_parse(data, len, &error);
    if (c == NULL) {
        return refusal(error);
    }
    g_autoptr(SlPublicKey) key = sl_gitcommit_signer(c, &error);
    g_autofree char *print = key != NULL ? sl_public_key_fingerprint(key) : g_strdup("");
    g_autofree char *subject = sl_gitcommit_subject(c);
    g_ptr_array_add(c->parents, NULL);
    json_t *answer = json_object();
    sl_json_set_str(answer, "tree", c->tree);
    json_object_set_new(answer, "parents", sl_json_strv((const char *const *)c->parents->pdata));
    sl_json_set_str(answer, "author", c->author.name);
    sl_json_set_str(answer, "email", c->author.email);
    sl_json_set_int(answer, "time", c->author.time_us / 1000000);
    sl_json_set_str(answer, "committer", c->committer.email);
    sl_json_set_str(answer, "subject", subject);
    sl_json_set_str(answer, "signer", print);
    sl_json_set_str(answer, "why", error != NULL ? error->message : "");
    return finish(answer);
}

static char *tree(const char *text, const char *unused)
{
    (void)unused;
    g_autoptr(GBytes) bytes = unbase64(text);
    g_autoptr(GError) error = NULL;
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    g_autoptr(GPtrArray) list = sl_gittree_parse(data, len, "", &error);
    if (list == NULL) {
        return refusal(error);
    }
    json_t *answer = json_array();
    for (guint i = 0; i < list->len; i++) {
        const SlGitEntry *entry = g_ptr_array_index(list, i);
        g_autofree char *id = sl_hex(entry->id, sizeof entry->id);
        g_autofree char *line = g_strdup_printf("%06o %s %s", entry->mode, id, entry->name);
        json_array_append_new(answer, json_string(line));
    }
    return finish(answer);
}

/* Lines `key values` as a map: its root. */
static char *map(const char *text, const char *unused)
{
    (void)unused;
    g_autoptr(GBytes) bytes = unbase64(text);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlMap) made = sl_map_new();
    gsize size = 0;
    const char *data = g_bytes_get_data(bytes, &size);
    g_autofree char *all = g_strndup(size > 0 ? data : "", size);
    g_auto(GStrv) lines = g_strsplit(all, "\n", -1);
    for (char **line = lines; *line != NULL && **line != '\0'; line++) {
        char *space = strchr(*line, ' ');
        *space = '\0';
        if (!sl_map_add(made, *line, space + 1, &error)) {
            return refusal(error);
        }
    }
    g_autofree char *root = sl_map_root(made);
    return g_strdup_printf("\"%s\"", root);
}

static char *bundle(const char *text, const char *unused)
{
    (void)unused;
    g_autoptr(GBytes) bytes = unbase64(text);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlBundle) made = sl_bundle_parse(bytes, &error);
    if (made == NULL) {
        return refusal(error);
    }
    return g_strdup_printf("[%u,%u,%u]", made->objects->len, made->blobs->len, made->withheld->len);
}

static const struct {
    const char *name;
    char *(*answer)(const char *text, const char *argument);
} modes[] = {{"yaml", yaml}, {"json", json}, {"sshsig", sshsig}, {"commit", commit},
             {"tree", tree}, {"map", map},   {"bundle", bundle}};

int main(int argc, char **argv)
{
    g_autofree char *line = g_malloc(LINE_MAX_BYTES);
    size_t mode = 0;
    while (mode < G_N_ELEMENTS(modes) && (argc < 2 || strcmp(modes[mode].name, argv[1]) != 0)) {
        mode++;
    }
    if (mode == G_N_ELEMENTS(modes)) {
        fprintf(stderr, "usage: judge yaml|json|sshsig NAMESPACE|commit|tree|map|bundle\n");
        return 2;
    }
    while (fgets(line, LINE_MAX_BYTES, stdin) != NULL) {
        json_error_t problem;
        g_autoptr(json_t) text = json_loads(line, JSON_DECODE_ANY, &problem);
        g_autofree char *answer = json_is_string(text) ? modes[mode].answer(json_string_value(text),
                                                                            argc > 2 ? argv[2] : "")
                                                       : g_strdup("error input");
        g_strdelimit(answer, "\n", ' ');
        puts(answer);
    }
    return 0;
}
