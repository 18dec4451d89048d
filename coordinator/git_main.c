/* git_main.c - program sluice-git: the only part that speaks Git over a network, and the one that
 * repacks.
 *
 *   sluice-git fetch  --url U --cache DIR --branch B --pack-bytes N --objects N
 *                     [--ca F] [--credentials F]
 *   sluice-git push   --repo DIR --url U --ref REF... [--ca F] [--credentials F]
 *                     fast-forward only; refs/sluice/staging/E goes to sluice/staging/E, wherever it was
 *   sluice-git repack --repo DIR
 *
 * One JSON line on stdout: {"commit":..} | {"ok":true} | {"error":{"kind":..,"message":..}}; exit 0
 * or 1. It holds no keys of the fleet, never prompts, follows no redirect and reads no Git
 * configuration. It may hang on a silent server (libgit2 has no time-outs): the parent kills it,
 * and nothing but whole packs and refs is ever left behind. */
#include "base/json.h"
#include "coordinator/git_push_path.h"
#include "coordinator/git_repack.h"
#include "coordinator/store/push.h"
#include "runtime/protect.h"
#include <git2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REFS_MAX SL_PUSH_REFS_MAX
#define CREDENTIAL_BYTES_MAX 4096
#define CPU_SECONDS_MAX 600                  /* indexing 512 MiB takes about 60 s */
#define MEMORY_BYTES_MAX (UINT64_C(4) << 30) /* address space: packs are mapped */

typedef struct {
    const char *url, *dir, *branch, *ca, *credentials;
    const char *refs[REFS_MAX];
    size_t n_refs;
    uint64_t pack_bytes, objects;
    char *why; /* set by a callback that stopped the transfer */
    const char *kind;
    unsigned auth_tries;
    char *push_refused;
} Task;

static int answer(json_t *line)
{
    char *text = sl_json_canonical(line, NULL);
    bool failed = json_object_get(line, "error") != NULL;
    if (text != NULL)
        puts(text);
    fflush(stdout);
    g_free(text);
    json_decref(line);
    return failed ? 1 : 0;
}

static int refuse(const char *kind, const char *message)
{
    g_autofree char *clean = g_utf8_make_valid(message, -1);
    return answer(json_pack("{s:{s:s,s:s}}", "error", "kind", kind, "message", clean));
}

/* What libgit2 said, as one of our kinds. */
static int refuse_git(const Task *task, int code, const char *doing)
{
    const git_error *last = git_error_last();
    const char *said = last != NULL && last->message != NULL ? last->message : "no reason given";
    if (task->why != NULL)
        return refuse(task->kind, task->why);
    const char *kind = "unreachable";
    if (code == GIT_EAUTH)
        kind = "auth";
    else if (code == GIT_ECERTIFICATE)
        kind = "certificate";
    else if (code == GIT_ENONFASTFORWARD)
        kind = "rewound";
    else if (strstr(said, "redirect") != NULL)
        kind = "redirect";
    g_autofree char *message = g_strdup_printf("%s: %s", doing, said);
    return refuse(kind, message);
}

static int count_transfer(const git_indexer_progress *progress, void *payload)
{
    Task *task = payload;
    if (task->why != NULL)
        return GIT_EUSER;
    if (progress->received_bytes > task->pack_bytes)
        task->why = g_strdup_printf("the pack is larger than %" G_GUINT64_FORMAT " bytes",
                                    task->pack_bytes);
    else if (progress->total_objects > task->objects)
        task->why = g_strdup_printf("%u objects, more than the limit of %" G_GUINT64_FORMAT,
                                    progress->total_objects, task->objects);
    task->kind = "limit";
    return task->why != NULL ? GIT_EUSER : 0;
}

/* Over TLS, or to this very machine: anywhere else a password would be read on the way. */
static bool may_carry_password(const char *url)
{
    static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    bool here = false;
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        size_t len = strlen(hosts[i]);
        here = here || (strncmp(url, hosts[i], len) == 0 && strchr(":/", url[len]) != NULL);
    }
    return here || g_str_has_prefix(url, "https://");
}

/* "user:password" from a file of the operator; asked again means that it was wrong. */
static int give_credentials(git_credential **out, const char *url, const char *user, unsigned types,
                            void *payload)
{
    Task *task = payload;
    (void)url, (void)user;
    if (task->credentials != NULL && !may_carry_password(task->url)) {
        task->kind = "refused";
        task->why =
            g_strdup("credentials are not sent over http:// to another machine; use https://");
        return GIT_EAUTH;
    }
    if (task->credentials == NULL || !(types & GIT_CREDENTIAL_USERPASS_PLAINTEXT) ||
        task->auth_tries++ > 0) {
        task->kind = "auth";
        g_free(task->why);
        task->why = g_strdup(task->credentials == NULL
                                 ? "the server wants credentials and none are configured"
                                 : "the server refused the configured credentials");
        return GIT_EAUTH;
    }
    g_autofree char *text = NULL;
    gsize len = 0;
    if (!g_file_get_contents(task->credentials, &text, &len, NULL) || len > CREDENTIAL_BYTES_MAX) {
        task->kind = "auth";
        task->why = g_strdup("the credential file cannot be read");
        return GIT_EAUTH;
    }
    g_strchomp(text);
    char *colon = strchr(text, ':');
    if (colon == NULL) {
        task->kind = "auth";
        task->why = g_strdup("the credential file holds no user:password line");
        return GIT_EAUTH;
    }
    *colon = '\0';
    return git_credential_userpass_plaintext_new(out, text, colon + 1);
}

static bool is_http(const char *url)
{
    return g_str_has_prefix(url, "https://") || g_str_has_prefix(url, "http://");
}

static bool url_is_fit(const char *url)
{
    for (const char *p = url; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 127)
            return false;
    return url[0] != '-' && strchr(url, '@') == NULL && strlen(url) <= 2048;
}

/* Finds the advertised branch, else the tag, of this name. */
static const git_remote_head *find_head(git_remote *remote, const char *branch, char **ret_ref)
{
    const git_remote_head **heads = NULL;
    size_t count = 0;
    if (git_remote_ls(&heads, &count, remote) < 0)
        return NULL;
    static const char *const prefixes[] = {"refs/heads/", "refs/tags/"};
    for (size_t k = 0; k < G_N_ELEMENTS(prefixes); k++) {
        g_autofree char *want = g_strconcat(prefixes[k], branch, NULL);
        for (size_t i = 0; i < count; i++) {
            if (strcmp(heads[i]->name, want) == 0) {
                *ret_ref = g_steal_pointer(&want);
                return heads[i];
            }
        }
    }
    return NULL;
}

static int open_cache(git_repository **repo, const char *dir)
{
    int rc = git_repository_open_bare(repo, dir);
    if (rc == GIT_ENOTFOUND)
        rc = git_repository_init(repo, dir, 1);
    return rc;
}

static int record_tip(git_repository *repo, const Task *task, const git_oid *oid)
{
    git_object *any = NULL, *commit = NULL;
    int rc = git_object_lookup(&any, repo, oid, GIT_OBJECT_ANY);
    if (rc == 0)
        rc = git_object_peel(&commit, any, GIT_OBJECT_COMMIT);
    if (rc < 0)
        return refuse_git(task, rc, "reading the fetched commit");
    char hex[GIT_OID_HEXSZ + 1];
    git_oid_tostr(hex, sizeof hex, git_object_id(commit));
    g_autofree char *ref = g_strconcat("refs/sluice/", task->branch, NULL);
    git_reference *made = NULL;
    rc = git_reference_create(&made, repo, ref, git_object_id(commit), 1, NULL);
    git_reference_free(made);
    git_object_free(any);
    git_object_free(commit);
    if (rc < 0)
        return refuse_git(task, rc, "recording the branch");
    return answer(json_pack("{s:s}", "commit", hex));
}

static void set_callbacks(git_remote_callbacks *callbacks, Task *task)
{
    callbacks->payload = task;
    callbacks->credentials = give_credentials;
    callbacks->transfer_progress = count_transfer;
}

static int fetch_from(git_repository *repo, git_remote *remote, Task *task)
{
    git_remote_connect_options connect;
    git_remote_connect_options_init(&connect, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
    set_callbacks(&connect.callbacks, task);
    connect.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    connect.proxy_opts.type = GIT_PROXY_NONE;
    int rc = git_remote_connect_ext(remote, GIT_DIRECTION_FETCH, &connect);
    if (rc < 0)
        return refuse_git(task, rc, "connecting");
    g_autofree char *ref = NULL;
    const git_remote_head *head = find_head(remote, task->branch, &ref);
    if (head == NULL) {
        g_autofree char *message = g_strdup_printf("there is no branch or tag %s", task->branch);
        return refuse("branch", message);
    }
    git_oid oid = head->oid;
    git_odb *odb = NULL;
    bool known = git_repository_odb(&odb, repo) == 0 && git_odb_exists(odb, &oid);
    git_odb_free(odb);
    if (!known) {
        git_fetch_options options;
        git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
        set_callbacks(&options.callbacks, task);
        options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
        options.proxy_opts.type = GIT_PROXY_NONE;
        options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
        g_autofree char *spec = g_strdup_printf("+%s:refs/sluice/%s", ref, task->branch);
        char *specs[] = {spec};
        git_strarray list = {.strings = specs, .count = 1};
        rc = git_remote_download(remote, &list, &options);
        if (rc < 0)
            return refuse_git(task, rc, "fetching");
    }
    return record_tip(repo, task, &oid);
}

static int run_fetch(Task *task)
{
    if (task->url == NULL || task->dir == NULL || task->branch == NULL)
        return refuse("usage", "fetch needs --url, --cache and --branch");
    if (!is_http(task->url) || !url_is_fit(task->url))
        return refuse("refused", "only http(s) URLs without user info");
    int valid = 0;
    g_autofree char *ref = g_strconcat("refs/heads/", task->branch, NULL);
    if (git_reference_name_is_valid(&valid, ref) < 0 || !valid)
        return refuse("refused", "this is no valid branch name");
    git_repository *repo = NULL;
    git_remote *remote = NULL;
    int rc = open_cache(&repo, task->dir);
    if (rc == 0)
        rc = git_remote_create_anonymous(&remote, repo, task->url);
    int code = rc < 0 ? refuse_git(task, rc, "opening the cache") : fetch_from(repo, remote, task);
    git_remote_free(remote);
    git_repository_free(repo);
    return code;
}

static int note_push(const char *ref, const char *status, void *payload)
{
    Task *task = payload;
    if (status != NULL && task->push_refused == NULL)
        task->push_refused = g_strdup_printf("%s: %s", ref, status);
    return 0;
}

/* Branches only forward; what is staged is whatever was written last. */
static char *spec_of(const char *ref)
{
    if (!g_str_has_prefix(ref, SL_PUSH_STAGED))
        return g_strdup_printf("%s:%s", ref, ref);
    return g_strdup_printf("+%s:refs/heads/sluice/staging/%s", ref, ref + strlen(SL_PUSH_STAGED));
}

static int run_push(Task *task)
{
    if (task->url == NULL || task->dir == NULL || task->n_refs == 0)
        return refuse("usage", "push needs --repo, --url and --ref");
    if (!url_is_fit(task->url) || (!is_http(task->url) && task->url[0] != '/'))
        return refuse("refused", "only http(s) URLs without user info, or an absolute path");
    git_repository *repo = NULL;
    git_remote *remote = NULL;
    int rc = git_repository_open_bare(&repo, task->dir);
    if (rc == 0)
        rc = git_remote_create_anonymous(&remote, repo, task->url);
    if (rc < 0)
        return refuse_git(task, rc, "opening the state repository");
    char *specs[REFS_MAX];
    for (size_t i = 0; i < task->n_refs; i++)
        specs[i] = spec_of(task->refs[i]);
    git_strarray list = {.strings = specs, .count = task->n_refs};
    git_push_options options;
    git_push_options_init(&options, GIT_PUSH_OPTIONS_VERSION);
    set_callbacks(&options.callbacks, task);
    options.callbacks.push_update_reference = note_push;
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    options.proxy_opts.type = GIT_PROXY_NONE;
    rc = task->url[0] == '/' ? sl_git_push_path(repo, task->url, specs, task->n_refs)
                             : git_remote_push(remote, &list, &options);
    for (size_t i = 0; i < task->n_refs; i++)
        g_free(specs[i]);
    git_remote_free(remote);
    git_repository_free(repo);
    if (rc < 0)
        return refuse_git(task, rc, "pushing");
    if (task->push_refused != NULL)
        return refuse("refused", task->push_refused);
    return answer(json_pack("{s:b}", "ok", 1));
}

static int run_repack(Task *task)
{
    if (task->dir == NULL)
        return refuse("usage", "repack needs --repo");
    SlRepacked done;
    int rc = sl_repack(task->dir, &done);
    if (rc < 0)
        return refuse_git(task, rc, "repacking");
    return answer(json_pack("{s:b,s:I,s:I}", "ok", 1, "objects", (json_int_t)done.objects, "packs",
                            (json_int_t)done.packs));
}

/* ---- argv ---- */

static bool parse_number(const char *text, uint64_t *ret)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9')
        return false;
    *ret = g_ascii_strtoull(text, &end, 10);
    return *end == '\0';
}

static bool take_option(Task *task, const char *name, const char *value)
{
    if (strcmp(name, "--url") == 0)
        task->url = value;
    else if (strcmp(name, "--cache") == 0 || strcmp(name, "--repo") == 0)
        task->dir = value;
    else if (strcmp(name, "--branch") == 0)
        task->branch = value;
    else if (strcmp(name, "--ca") == 0)
        task->ca = value;
    else if (strcmp(name, "--credentials") == 0)
        task->credentials = value;
    else if (strcmp(name, "--ref") == 0 && task->n_refs < REFS_MAX)
        task->refs[task->n_refs++] = value;
    else if (strcmp(name, "--pack-bytes") == 0)
        return parse_number(value, &task->pack_bytes);
    else if (strcmp(name, "--objects") == 0)
        return parse_number(value, &task->objects);
    else
        return false;
    return true;
}

static void limit(int what, uint64_t value)
{
    struct rlimit old;
    if (getrlimit((__rlimit_resource_t)what, &old) != 0 || old.rlim_max < value)
        return;
    struct rlimit now = {.rlim_cur = value, .rlim_max = value};
    if (setrlimit((__rlimit_resource_t)what, &now) != 0)
        fprintf(stderr, "sluice-git: a resource limit could not be set\n");
}

static void set_limits(const Task *task)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, CPU_SECONDS_MAX);
    limit(RLIMIT_FSIZE, task->pack_bytes * 2 + (UINT64_C(64) << 20));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    limit(RLIMIT_AS, MEMORY_BYTES_MAX);
#endif
}

/* No configuration of a user or host may change what we do (credential helpers, insteadOf,
 * proxies). */
static void quiet_libgit2(const Task *task)
{
    git_libgit2_init();
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)32 << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)1 << 30);
    if (task->ca != NULL)
        git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, task->ca, NULL);
}

static int run_task(Task *task, const char *what)
{
    if (strcmp(what, "fetch") == 0)
        return run_fetch(task);
    if (strcmp(what, "push") == 0)
        return run_push(task);
    if (strcmp(what, "repack") == 0)
        return run_repack(task);
    return refuse("usage", what);
}

#ifdef __SANITIZE_ADDRESS__
/* libgit2 1.5.1 never frees the match data of its own regular expressions. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpcre2";
}
#endif

int main(int argc, char **argv)
{
    sl_process_protect();
    Task task = {.pack_bytes = UINT64_C(512) << 20, .objects = 200000, .kind = "unreachable"};
    if (argc < 2 || (argc % 2) != 0)
        return refuse("usage", "sluice-git fetch|push|repack --option value ...");
    for (int i = 2; i + 1 < argc; i += 2)
        if (!take_option(&task, argv[i], argv[i + 1]))
            return refuse("usage", argv[i]);
    set_limits(&task);
    quiet_libgit2(&task);
    int code = run_task(&task, argv[1]);
    git_libgit2_shutdown();
    g_free(task.why);
    g_free(task.push_refused);
    return code;
}
