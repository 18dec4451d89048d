/* slots.c - bytes of one of the two state slots. Pure.
 *
 *     sluice-agent-slot 1 <generation> <length> <sha256> LF     sha256 over "1 <generation>
 * <length>" LF and the content canonical JSON                                            exactly
 * <length> bytes, nothing after it
 *
 * A torn, cut, zeroed or mixed write fails the hash, and the other slot (one generation older) is
 * used. */
#include "agent/brain/state.h"

#define SLOT_MAGIC "sluice-agent-slot"
#define SLOT_HEADER_MAX 160
#define SLOT_BYTES_MAX (SL_AGENT_SLOT_MAX - SLOT_HEADER_MAX) /* of the content */

static char *slot_hash(uint64_t generation, const char *content, size_t len)
{
    g_autofree char *head = g_strdup_printf("1 %" G_GUINT64_FORMAT " %zu\n", generation, len);
    g_autoptr(SlSha256) hash = sl_sha256_new();
    sl_sha256_update(hash, head, strlen(head));
    sl_sha256_update(hash, content, len);
    return sl_sha256_final_hex(hash);
}

GBytes *sl_slot_pack(const json_t *content, uint64_t generation)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = sl_json_canonical(content, &error);
    g_assert_no_error(error); /* our own tree: finite numbers, clean strings */
    size_t len = strlen(text);
    g_autofree char *digest = slot_hash(generation, text, len);
    GString *bytes = g_string_sized_new(len + SLOT_HEADER_MAX);
    g_string_append_printf(bytes, SLOT_MAGIC " 1 %" G_GUINT64_FORMAT " %zu %s\n", generation, len,
                           digest);
    g_string_append_len(bytes, text, (gssize)len);
    return g_string_free_to_bytes(bytes);
}

json_t *sl_slot_unpack(GBytes *bytes, uint64_t *ret_generation, GError **error)
{
    size_t size = 0;
    const char *data = g_bytes_get_data(bytes, &size);
    const char *lf = data != NULL ? memchr(data, '\n', MIN(size, (size_t)SLOT_HEADER_MAX)) : NULL;
    if (lf == NULL) {
        return sl_throw_null(error, SLU_AGENT_SLOT, "state slot: %zu bytes without a header line",
                             size);
    }
    g_autofree char *line = g_strndup(data, (size_t)(lf - data));
    g_auto(GStrv) words = g_strsplit(line, " ", 6);
    uint64_t generation = 0, length = 0;
    if (g_strv_length(words) != 5 || strcmp(words[0], SLOT_MAGIC) != 0) {
        return sl_throw_null(error, SLU_AGENT_SLOT, "state slot: not a slot of an agent");
    }
    if (strcmp(words[1], "1") != 0) {
        return sl_throw_null(error, SLU_UNSUPPORTED,
                             "state slot: written by a newer agent (format %.8s)", words[1]);
    }
    if (!sl_parse_uint64(words[2], &generation) || !sl_parse_uint64(words[3], &length) ||
        length > SLOT_BYTES_MAX) {
        return sl_throw_null(error, SLU_AGENT_SLOT, "state slot: bad generation or length");
    }
    const char *content = lf + 1;
    size_t left = size - (size_t)(content - data);
    if (left != length) {
        return sl_throw_null(error, SLU_AGENT_SLOT,
                             "state slot: %zu bytes where the header says %" G_GUINT64_FORMAT, left,
                             length);
    }
    g_autofree char *digest = slot_hash(generation, content, left);
    if (strcmp(digest, words[4]) != 0) {
        return sl_throw_null(error, SLU_AGENT_SLOT,
                             "state slot: SHA-256 is %.12s, the header says %.12s", digest,
                             words[4]);
    }
    static const SlJsonLimits limits = {
        .bytes_max = SLOT_BYTES_MAX, .depth_max = 16, .nodes_max = 4000000};
    json_t *json = sl_json_parse(content, left, &limits, "state slot", error);
    if (json != NULL) {
        *ret_generation = generation;
    }
    return json;
}
