/* gitcommit.c - the strict splitter of raw commits (gitcommit.h).
 *
 *   tree <id> LF, parent <id> LF ..., author <person> LF, committer <person> LF, then any other
 *   header (encoding, mergetag, gpgsig, ...) with lines that begin with a space continuing it, an
 *   empty line, the message.
 *
 * Reads nothing but its bytes and never asks libgit2: what it calls the payload is what the
 * signature is checked over, and what it calls the author is read from the same bytes. */
#include "core/gitcommit.h"
#include "base/text.h"
#include "sluice/clock.h"
#include <string.h>

#define ID_LEN 40
#define PERSON_MAX 1024 /* name and e-mail of one line */

typedef struct {
    const char *at, *end, *begin;
    SlGitCommit *made;
    GByteArray *payload;
} Split;

static bool refuse(const Split *s, GError **error, const char *what)
{
    return sl_throw(error, SLU_COMMIT_FORMAT, "commit, byte %zu: %s", (size_t)(s->at - s->begin),
                    what);
}

/* The header line at s->at without its LF; continuation lines are not part of it. */
static bool line_at(const Split *s, const char **ret_end, GError **error)
{
    *ret_end = memchr(s->at, '\n', (size_t)(s->end - s->at));
    return *ret_end != NULL || refuse(s, error, "the header's line has no end");
}

static bool starts(const char *line, const char *end, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(end - line) > len && memcmp(line, word, len) == 0 && line[len] == ' ';
}

static char *id_of(const char *text, const char *end)
{
    if (end - text != ID_LEN)
        return NULL;
    for (const char *p = text; p < end; p++)
        if (!g_ascii_isdigit(*p) && (*p < 'a' || *p > 'f'))
            return NULL;
    return g_strndup(text, ID_LEN);
}

/* "<word> <id>": true with *ret NULL if another header stands here. */
static bool take_id(Split *s, const char *word, char **ret, GError **error)
{
    const char *end = NULL;
    *ret = NULL;
    if (!line_at(s, &end, error))
        return false;
    if (!starts(s->at, end, word))
        return true;
    *ret = id_of(s->at + strlen(word) + 1, end);
    if (*ret == NULL)
        return sl_throw(error, SLU_COMMIT_FORMAT,
                        "commit, byte %zu: %s is not 40 lower-case hex digits",
                        (size_t)(s->at - s->begin), word);
    s->at = end + 1;
    return true;
}

/* "<seconds> <+|->hhmm" */
static bool read_time(const char *text, const char *end, int64_t *ret_us)
{
    const char *space = memchr(text, ' ', (size_t)(end - text));
    if (space == NULL || space - text > 15 || end - space != 6 ||
        (space[1] != '+' && space[1] != '-'))
        return false;
    for (const char *p = space + 2; p < end; p++)
        if (!g_ascii_isdigit(*p))
            return false;
    g_autofree char *digits = g_strndup(text, (size_t)(space - text));
    uint64_t seconds = 0;
    if (!sl_parse_uint64(digits, &seconds) || seconds > INT64_MAX / SL_SECOND_US)
        return false;
    *ret_us = (int64_t)seconds * SL_SECOND_US;
    return true;
}

static char *text_of(const char *from, const char *to)
{
    return g_strndup(from, (size_t)(to - from));
}

/* "<word> Name <e-mail> <seconds> <zone>" with one < and one >, as `git fsck` wants it. */
static bool take_person(Split *s, const char *word, SlGitPerson *ret, GError **error)
{
    const char *end = NULL;
    if (!line_at(s, &end, error))
        return false;
    if (!starts(s->at, end, word))
        return sl_throw(error, SLU_COMMIT_FORMAT, "commit, byte %zu: here must stand one %s",
                        (size_t)(s->at - s->begin), word);
    const char *name = s->at + strlen(word) + 1;
    size_t len = (size_t)(end - name);
    if (len > PERSON_MAX)
        return sl_throw(error, SLU_LIMIT, "commit: %s has more than %d bytes", word, PERSON_MAX);
    const char *open = memchr(name, '<', len), *close = memchr(name, '>', len);
    if (open == NULL || close == NULL || close < open || open[-1] != ' ' || close + 1 >= end ||
        close[1] != ' ' || memchr(open + 1, '<', (size_t)(end - open - 1)) != NULL ||
        memchr(close + 1, '>', (size_t)(end - close - 1)) != NULL ||
        !read_time(close + 2, end, &ret->time_us))
        return sl_throw(error, SLU_COMMIT_FORMAT,
                        "commit, byte %zu: %s is not `Name <e-mail> seconds +hhmm`",
                        (size_t)(s->at - s->begin), word);
    ret->name = text_of(name, open > name ? open - 1 : name);
    ret->email = text_of(open + 1, close);
    s->at = end + 1;
    return true;
}

static bool check_headers(Split *s, GError **error)
{
    const char *blank = g_strstr_len(s->at, s->end - s->at, "\n\n");
    size_t len = blank != NULL ? (size_t)(blank - s->begin) : (size_t)(s->end - s->begin);
    if (memchr(s->begin, '\0', (size_t)(s->end - s->begin)) != NULL)
        return refuse(s, error, "it holds a NUL byte: Git would show only what stands before it");
    if (len > SL_GITCOMMIT_HEADERS_MAX)
        return sl_throw(error, SLU_LIMIT, "commit: its headers have more than %d bytes",
                        SL_GITCOMMIT_HEADERS_MAX);
    if (blank == NULL)
        return refuse(s, error, "no empty line ends the headers");
    if (memchr(s->begin, '\r', len) != NULL)
        return refuse(s, error, "a carriage return among the headers");
    return true;
}

static SlGitSigning signing_of(const char *signature)
{
    static const struct {
        const char *first_line;
        SlGitSigning signing;
    } known[] = {{"-----BEGIN SSH SIGNATURE-----\n", SL_GIT_SSHSIG},
                 {"-----BEGIN PGP SIGNATURE-----\n", SL_GIT_PGP},
                 {"-----BEGIN PGP MESSAGE-----\n", SL_GIT_PGP},
                 {"-----BEGIN SIGNED MESSAGE-----\n", SL_GIT_X509}};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_str_has_prefix(signature, known[i].first_line))
            return known[i].signing;
    return SL_GIT_OTHER_SIGNATURE;
}

static bool note_header(Split *s, const char *name, char *value, GError **error)
{
    SlGitCommit *made = s->made;
    g_autofree char *text = value;
    bool encoding = strcmp(name, "encoding") == 0, signature = strcmp(name, "gpgsig") == 0;
    if (strcmp(name, "tree") == 0 || strcmp(name, "parent") == 0 || strcmp(name, "author") == 0 ||
        strcmp(name, "committer") == 0)
        return sl_throw(error, SLU_COMMIT_FORMAT, "commit, byte %zu: %s stands twice or too late",
                        (size_t)(s->at - s->begin), name);
    if (!signature && g_str_has_prefix(name, "gpgsig"))
        return sl_throw(error, SLU_COMMIT_FORMAT,
                        "commit: header %.40s does not belong into a SHA-1 repository", name);
    if ((encoding && made->encoding != NULL) || (signature && made->signature != NULL))
        return sl_throw(error, SLU_COMMIT_FORMAT, "commit, byte %zu: %s stands twice",
                        (size_t)(s->at - s->begin), name);
    if (signature) {
        made->signing = signing_of(text);
        made->signature = g_steal_pointer(&text);
    } else if (encoding) {
        g_strchomp(text);
        made->encoding = g_steal_pointer(&text);
    }
    return true;
}

/* One more header with its continuation lines, each without its first space. */
static bool take_other(Split *s, GError **error)
{
    const char *start = s->at, *end = NULL;
    if (!line_at(s, &end, error))
        return false;
    size_t len = 0;
    while (start + len < end && (g_ascii_isalnum(start[len]) || strchr("-_.:", start[len]) != NULL))
        len++;
    if (len == 0 || start + len == end || start[len] != ' ')
        return refuse(s, error,
                      *start == ' ' ? "a continuation line without a header"
                                    : "this is no header line `name value`");
    GString *value = g_string_new_len(start + len + 1, end - start - (gssize)len - 1);
    g_string_append_c(value, '\n');
    const char *next = end + 1;
    while (next < s->end && *next == ' ') {
        end = memchr(next, '\n', (size_t)(s->end - next));
        if (end == NULL) {
            g_string_free(value, TRUE);
            return refuse(s, error, "the header's line has no end");
        }
        g_string_append_len(value, next + 1, end - next);
        next = end + 1;
    }
    g_autofree char *name = g_strndup(start, len);
    if (!note_header(s, name, g_string_free(value, FALSE), error))
        return false;
    if (strcmp(name, "gpgsig") != 0)
        g_byte_array_append(s->payload, (const guint8 *)start, (guint)(next - start));
    s->at = next;
    return true;
}

/* Names are shown and e-mails decide who counts: text that two readers show differently is no
 * identity. */
static bool check_text(const SlGitCommit *made, GError **error)
{
    const SlGitPerson *const people[] = {&made->author, &made->committer};
    for (size_t i = 0; i < G_N_ELEMENTS(people); i++) {
        const char *who = i == 0 ? "author" : "committer";
        if (!sl_is_plain_line(people[i]->email, strlen(people[i]->email)))
            return sl_throw(error, SLU_COMMIT_FORMAT,
                            "commit: the e-mail of its %s is not plain UTF-8 text", who);
        if (made->encoding == NULL && !g_utf8_validate(people[i]->name, -1, NULL))
            return sl_throw(error, SLU_COMMIT_FORMAT,
                            "commit: the name of its %s is not UTF-8, and it names no encoding",
                            who);
    }
    return true;
}

static void make_valid(char **text)
{
    char *valid = g_utf8_make_valid(*text, -1);
    g_free(*text);
    *text = valid;
}

static bool split(Split *s, GError **error)
{
    SlGitCommit *made = s->made;
    if (!check_headers(s, error) || !take_id(s, "tree", &made->tree, error))
        return false;
    if (made->tree == NULL)
        return refuse(s, error, "its first header is not tree");
    for (char *parent = NULL; take_id(s, "parent", &parent, error);) {
        if (parent == NULL)
            break;
        g_ptr_array_add(made->parents, parent);
        if (made->parents->len > SL_GITCOMMIT_PARENTS_MAX)
            return sl_throw(error, SLU_LIMIT, "commit: more than %d parents",
                            SL_GITCOMMIT_PARENTS_MAX);
    }
    if ((error != NULL && *error != NULL) || !take_person(s, "author", &made->author, error) ||
        !take_person(s, "committer", &made->committer, error))
        return false;
    g_byte_array_append(s->payload, (const guint8 *)s->begin, (guint)(s->at - s->begin));
    while (*s->at != '\n')
        if (!take_other(s, error))
            return false;
    g_byte_array_append(s->payload, (const guint8 *)s->at, (guint)(s->end - s->at));
    made->message = text_of(s->at + 1, s->end);
    if (!check_text(made, error))
        return false;
    make_valid(&made->author.name);
    make_valid(&made->committer.name);
    make_valid(&made->message);
    return true;
}

SlGitCommit *sl_gitcommit_parse(const void *bytes, size_t len, GError **error)
{
    if (len > SL_GITCOMMIT_BYTES_MAX)
        return sl_throw_null(error, SLU_LIMIT, "commit: %zu bytes, more than %d", len,
                             SL_GITCOMMIT_BYTES_MAX);
    g_autoptr(SlGitCommit) made = g_new0(SlGitCommit, 1);
    made->parents = g_ptr_array_new_with_free_func(g_free);
    const char *text = len > 0 ? bytes : "";
    Split s = {text, text + len, text, made, g_byte_array_new()};
    g_autoptr(GError) own = NULL; /* read by split(), whatever the caller wants to know */
    bool done = split(&s, &own);
    made->payload = g_byte_array_free_to_bytes(s.payload);
    if (done)
        return g_steal_pointer(&made);
    g_propagate_error(error, g_steal_pointer(&own));
    return NULL;
}

void sl_gitcommit_free(SlGitCommit *commit)
{
    if (commit == NULL)
        return;
    char *const all[] = {commit->tree,           commit->author.name,     commit->author.email,
                         commit->committer.name, commit->committer.email, commit->encoding,
                         commit->message,        commit->signature};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(all[i]);
    g_ptr_array_unref(commit->parents);
    g_bytes_unref(commit->payload);
    g_free(commit);
}

SlPublicKey *sl_gitcommit_signer(const SlGitCommit *commit, GError **error)
{
    static const char *const why[] = {
        [SL_GIT_UNSIGNED] = "it is not signed",
        [SL_GIT_PGP] = "it is signed with PGP; only SSH signatures count here (gpg.format=ssh)",
        [SL_GIT_X509] = "it is signed with X.509; only SSH signatures count here (gpg.format=ssh)",
        [SL_GIT_OTHER_SIGNATURE] = "its signature is of no known kind"};
    if (commit->signing != SL_GIT_SSHSIG)
        return sl_throw_null(error, SLU_COMMIT_SIGNATURE, "%s", why[commit->signing]);
    size_t len = 0;
    const void *payload = g_bytes_get_data(commit->payload, &len);
    SlPublicKey *key = NULL;
    if (!sl_sshsig_verify(commit->signature, payload, len, SL_GITCOMMIT_NAMESPACE, &key, error))
        return NULL;
    return key;
}

char *sl_gitcommit_subject(const SlGitCommit *commit)
{
    return g_strndup(commit->message, strcspn(commit->message, "\r\n"));
}
