/* config.c - reads a kubeconfig (JSON) or a Pod's service account into one struct. Never starts a
 * program, never speaks without TLS, and says for each refusal what to do instead. Keys that have no
 * say in how the server is reached are passed over, as kubectl does. */
#include "kube/config.h"

#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "runtime/atomicfile.h"

#include <string.h>

#define SERVER_MAX 2048
#define NAME_MAX_ 253
#define TO_JSON "kubectl config view --raw --minify --flatten -o json"

void sl_kube_config_free(SlKubeConfig *config)
{
    if (config == NULL) {
        return;
    }
    g_free(config->server);
    g_free(config->namespace_);
    g_free(config->ca_pem);
    g_free(config->cert_pem);
    g_free(config->key_pem);
    g_free(config->token);
    g_free(config->token_file);
    g_free(config);
}

/* ---- values ---- */

static bool is_token(const char *token)
{
    size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) {
        if (token[i] <= ' ' || token[i] > '~') {
            return false;
        }
    }
    return len > 0 && len <= SL_KUBE_TOKEN_MAX;
}

char *sl_kube_token_load(const char *path, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(GBytes) bytes = sl_file_read_mounted(path, SL_KUBE_TOKEN_MAX, &problem);
    if (bytes == NULL) {
        return sl_throw_null(error, SLU_KUBE_TOKEN, "%s", problem->message);
    }
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    g_autofree char *token = g_strndup(len > 0 ? data : "", len);
    g_strchomp(token);
    if (memchr(data != NULL ? data : "", '\0', len) != NULL || !is_token(token)) {
        return sl_throw_null(error, SLU_KUBE_TOKEN, "%s: does not hold one token on one line",
                             path);
    }
    return g_steal_pointer(&token);
}

static bool check_server(const char *server, GError **error)
{
    if (g_ascii_strncasecmp(server, "http://", 7) == 0) {
        return sl_throw(
            error, SLU_KUBE_CONFIG_INSECURE,
            "cluster.server: plain http would show the token to the network; use https");
    }
    size_t len = strlen(server);
    bool shown = len <= SERVER_MAX;
    for (size_t i = 0; shown && i < len; i++) {
        shown = server[i] > ' ' && server[i] <= '~' && strchr("@?#\\\"<>", server[i]) == NULL;
    }
    if (!shown || strncmp(server, "https://", 8) != 0 || strchr("/:", server[8]) != NULL ||
        strstr(server + 8, "/.") != NULL) {
        return sl_throw(
            error, SLU_KUBE_CONFIG,
            "cluster.server: is not https://HOST[:PORT][/PATH] of at most %d characters",
            SERVER_MAX);
    }
    return true;
}

static char *without_slashes(const char *server)
{
    char *copy = g_strdup(server);
    for (size_t len = strlen(copy); len > 0 && copy[len - 1] == '/'; len--) {
        copy[len - 1] = '\0';
    }
    return copy;
}

static char *pem_of(GBytes *bytes, const char *what, GError **error)
{
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    if (len > SL_KUBE_PEM_MAX) {
        return sl_throw_null(error, SLU_LIMIT, "%s: larger than %zu bytes", what, SL_KUBE_PEM_MAX);
    }
    g_autofree char *text = g_strndup(len > 0 ? data : "", len);
    if (strlen(text) != len || strstr(text, "-----BEGIN ") == NULL) {
        return sl_throw_null(error, SLU_KUBE_CONFIG, "%s: is not PEM (-----BEGIN ...)", what);
    }
    return g_steal_pointer(&text);
}

static char *pem_file(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = sl_file_read_mounted(path, SL_KUBE_PEM_MAX, error);
    return bytes != NULL ? pem_of(bytes, path, error) : NULL;
}

static char *path_in(const char *folder, const char *path)
{
    return g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(folder, path, NULL);
}

/* "<key>-data" in base64, else the file "<key>"; neither is NULL without an error. */
static bool take_pem(const json_t *holder, const char *key, const char *folder, char **ret_pem,
                     GError **error)
{
    g_autofree char *data_key = g_strconcat(key, "-data", NULL);
    const char *data = sl_json_str_or(holder, data_key, "");
    const char *file = sl_json_str_or(holder, key, "");
    if (data[0] != '\0') {
        g_autoptr(GBytes) bytes = sl_unbase64(data, strlen(data));
        if (bytes == NULL) {
            return sl_throw(error, SLU_KUBE_CONFIG, "%s: is not base64", data_key);
        }
        *ret_pem = pem_of(bytes, data_key, error);
        return *ret_pem != NULL;
    }
    if (file[0] != '\0') {
        g_autofree char *path = path_in(folder, file);
        *ret_pem = pem_file(path, error);
        return *ret_pem != NULL;
    }
    return true;
}

/* ---- the kubeconfig ---- */

/* Is the key there, and not null, false or empty? */
static bool says(const json_t *holder, const char *key)
{
    const json_t *value = json_object_get(holder, key);
    return value != NULL && !json_is_null(value) && !json_is_false(value) &&
           !(json_is_string(value) && json_string_length(value) == 0) &&
           !((json_is_array(value) || json_is_object(value)) && json_array_size(value) == 0 &&
             json_object_size(value) == 0);
}

static const struct {
    const char *key;
    SlErrorCode code;
    const char *why;
} refused_cluster[] =
    {
        {"insecure-skip-tls-verify", SLU_KUBE_CONFIG_INSECURE,
         "anybody on the way could read the token; give the CA"},
        {"proxy-url", SLU_KUBE_CONFIG_INSECURE, "an agent uses no proxy to its own cluster"},
        {"tls-server-name", SLU_KUBE_CONFIG_INSECURE,
         "the certificate must hold the name of the server's address"},
},
  refused_user[] = {
      {"exec", SLU_KUBE_CONFIG_LOGIN, "an agent starts no log-in program"},
      {"auth-provider", SLU_KUBE_CONFIG_LOGIN, "an agent has no log-in plug-ins"},
      {"username", SLU_KUBE_CONFIG_LOGIN, "API servers take no passwords any more"},
      {"password", SLU_KUBE_CONFIG_LOGIN, "API servers take no passwords any more"},
      {"as", SLU_KUBE_CONFIG_LOGIN, "an agent speaks as nobody else"},
      {"as-uid", SLU_KUBE_CONFIG_LOGIN, "an agent speaks as nobody else"},
      {"as-groups", SLU_KUBE_CONFIG_LOGIN, "an agent speaks as nobody else"},
      {"as-user-extra", SLU_KUBE_CONFIG_LOGIN, "an agent speaks as nobody else"},
};

static bool check_refused(const json_t *cluster, const json_t *user, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused_cluster); i++) {
        if (says(cluster, refused_cluster[i].key)) {
            return sl_throw(error, refused_cluster[i].code, "cluster.%s: %s",
                            refused_cluster[i].key, refused_cluster[i].why);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(refused_user); i++) {
        if (says(user, refused_user[i].key)) {
            return sl_throw(error, refused_user[i].code, "user.%s: %s", refused_user[i].key,
                            refused_user[i].why);
        }
    }
    return true;
}

/* The member @kind of the entry of @list that has this name: {"name": "x", "cluster": {...}}. */
static const json_t *named(const json_t *tree, const char *list, const char *kind, const char *name,
                           GError **error)
{
    size_t i = 0;
    json_t *entry = NULL;
    json_array_foreach (json_object_get(tree, list), i, entry) {
        if (g_strcmp0(sl_json_str(entry, "name"), name) == 0 &&
            json_is_object(json_object_get(entry, kind))) {
            return json_object_get(entry, kind);
        }
    }
    g_autofree char *shown = sl_escape_for_people(name, NAME_MAX_);
    return sl_throw_null(error, SLU_KUBE_CONFIG_CONTEXT, "%s: there is no %s \"%s\"", list, kind,
                         shown);
}

static bool take_user(SlKubeConfig *config, const json_t *user, const char *folder, GError **error)
{
    const char *file = sl_json_str_or(user, "tokenFile", "");
    const char *token = sl_json_str_or(user, "token", "");
    if (!take_pem(user, "client-certificate", folder, &config->cert_pem, error) ||
        !take_pem(user, "client-key", folder, &config->key_pem, error)) {
        return false;
    }
    if ((config->cert_pem == NULL) != (config->key_pem == NULL)) {
        return sl_throw(error, SLU_KUBE_CONFIG,
                        "user: a client certificate and its key belong together, one is missing");
    }
    if (file[0] != '\0') {
        config->token_file = path_in(folder, file);
        config->token = sl_kube_token_load(config->token_file, error);
        return config->token != NULL;
    }
    if (token[0] == '\0') {
        return config->cert_pem != NULL ||
               sl_throw(error, SLU_KUBE_CONFIG,
                        "user: has neither token, tokenFile nor a client certificate");
    }
    config->token = g_strdup(token);
    return is_token(token) || sl_throw(error, SLU_KUBE_CONFIG, "user.token: is not a token");
}

static json_t *parse_tree(const char *bytes, size_t len, GError **error)
{
    size_t i = 0;
    while (i < len && g_ascii_isspace(bytes[i])) {
        i++;
    }
    if (i < len && bytes[i] != '{') {
        return sl_throw_null(error, SLU_KUBE_CONFIG_YAML,
                             "the kubeconfig is not JSON; write it anew with: " TO_JSON);
    }
    SlJsonLimits limits = {.bytes_max = SL_KUBE_CONFIG_MAX};
    return sl_json_parse(bytes, len, &limits, "kubeconfig", error);
}

SlKubeConfig *sl_kube_config_parse(const char *bytes, size_t len, const char *folder,
                                   const char *context, GError **error)
{
    g_autoptr(json_t) tree = parse_tree(bytes, len, error);
    if (tree == NULL) {
        return NULL;
    }
    const char *name = context != NULL ? context : sl_json_str_or(tree, "current-context", "");
    if (name[0] == '\0') {
        return sl_throw_null(error, SLU_KUBE_CONFIG_CONTEXT,
                             "current-context: is empty, and no context was named");
    }
    const json_t *where = named(tree, "contexts", "context", name, error);
    const json_t *cluster = where != NULL ? named(tree, "clusters", "cluster",
                                                  sl_json_str_or(where, "cluster", ""), error)
                                          : NULL;
    const json_t *user =
        cluster != NULL ? named(tree, "users", "user", sl_json_str_or(where, "user", ""), error)
                        : NULL;
    if (user == NULL || !check_refused(cluster, user, error) ||
        !check_server(sl_json_str_or(cluster, "server", ""), error)) {
        return NULL;
    }
    g_autoptr(SlKubeConfig) config = g_new0(SlKubeConfig, 1);
    const char *ns = sl_json_str_or(where, "namespace", "");
    config->server = without_slashes(sl_json_str(cluster, "server"));
    config->namespace_ = g_strdup(ns[0] != '\0' ? ns : "default");
    if (!sl_is_name(config->namespace_)) {
        return sl_throw_null(error, SLU_KUBE_CONFIG, "context.namespace: is not a name");
    }
    bool good = take_pem(cluster, "certificate-authority", folder, &config->ca_pem, error) &&
                take_user(config, user, folder, error);
    return good ? g_steal_pointer(&config) : NULL;
}

SlKubeConfig *sl_kube_config_load(const char *path, const char *context, GError **error)
{
    g_autoptr(GBytes) bytes = sl_file_read_mounted(path, SL_KUBE_CONFIG_MAX, error);
    if (bytes == NULL) {
        return NULL;
    }
    gsize len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    g_autofree char *folder = g_path_get_dirname(path);
    SlKubeConfig *config =
        sl_kube_config_parse(data != NULL ? data : "", len, folder, context, error);
    if (config == NULL) {
        sl_prefix(error, "%s", path);
    }
    return config;
}

/* ---- the service account of a Pod ---- */

SlKubeConfig *sl_kube_config_of_pod(const char *folder, const char *host, const char *port,
                                    GError **error)
{
    if (host == NULL || port == NULL || host[0] == '\0' || port[0] == '\0') {
        return sl_throw_null(
            error, SLU_KUBE_NOT_IN_CLUSTER,
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this "
            "is no Pod");
    }
    g_autoptr(SlKubeConfig) config = g_new0(SlKubeConfig, 1);
    bool v6 = strchr(host, ':') != NULL;
    config->server = g_strdup_printf("https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
    g_autofree char *ca = g_build_filename(folder, "ca.crt", NULL);
    g_autofree char *ns = g_build_filename(folder, "namespace", NULL);
    config->token_file = g_build_filename(folder, "token", NULL);
    if (!g_file_test(config->token_file, G_FILE_TEST_EXISTS)) {
        return sl_throw_null(error, SLU_KUBE_NOT_IN_CLUSTER, "%s: there is no service account",
                             config->token_file);
    }
    if (!check_server(config->server, error) || (config->ca_pem = pem_file(ca, error)) == NULL ||
        (config->token = sl_kube_token_load(config->token_file, error)) == NULL) {
        return NULL;
    }
    g_autoptr(GBytes) bytes =
        sl_file_read_mounted(ns, NAME_MAX_, NULL); /* not every mount has it */
    gsize len = 0;
    const char *data = bytes != NULL ? g_bytes_get_data(bytes, &len) : NULL;
    config->namespace_ = data != NULL ? g_strchomp(g_strndup(data, len)) : g_strdup("default");
    if (!sl_is_name(config->namespace_)) {
        return sl_throw_null(error, SLU_KUBE_CONFIG, "%s: is not a name", ns);
    }
    return g_steal_pointer(&config);
}
