/* logs.c - reads the segments of a stream (`stdout.<rank>.<offset>`): an offset names the same byte
 * for ever, also after rotation. */
#include "agent/engines/process/process.h"
#include "base/auto.h"
#include "base/text.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    uint64_t start, size;
} Segment;

static gint by_start(gconstpointer a, gconstpointer b)
{
    const Segment *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static GArray *list(const char *dir, const char *stream, unsigned rank)
{
    GArray *segments = g_array_new(FALSE, FALSE, sizeof(Segment));
    g_autofree char *prefix = g_strdup_printf("%s.%u.", stream, rank);
    DIR *folder = opendir(dir);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        Segment segment;
        struct stat st;
        if (!g_str_has_prefix(entry->d_name, prefix) ||
            !sl_parse_uint64(entry->d_name + strlen(prefix), &segment.start) ||
            fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        segment.size = (uint64_t)st.st_size;
        g_array_append_val(segments, segment);
    }
    if (folder)
        closedir(folder);
    g_array_sort(segments, by_start);
    return segments;
}

static void read_part(const char *dir, const char *stream, unsigned rank, const Segment *segment,
                      uint64_t skip, size_t max, GByteArray *bytes)
{
    char buffer[16384];
    g_autofree char *path =
        g_strdup_printf("%s/%s.%u.%" G_GUINT64_FORMAT, dir, stream, rank, segment->start);
    sl_autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    while (fd >= 0 && max > 0 && skip < segment->size) {
        size_t want = MIN(MIN(max, sizeof buffer), (size_t)(segment->size - skip));
        ssize_t n = pread(fd, buffer, want, (off_t)skip);
        if (n <= 0)
            return;
        g_byte_array_append(bytes, (const guint8 *)buffer, (guint)n);
        skip += (uint64_t)n;
        max -= (size_t)n;
    }
}

GBytes *sl_segments_read(const char *dir, const char *stream, unsigned rank, uint64_t offset,
                         size_t max, uint64_t *ret_offset, uint64_t *ret_size)
{
    g_autoptr(GArray) segments = list(dir, stream, rank);
    if (segments->len == 0)
        return NULL;
    const Segment *first = &g_array_index(segments, Segment, 0),
                  *last = &g_array_index(segments, Segment, segments->len - 1);
    GByteArray *bytes = g_byte_array_new();
    *ret_size = last->start + last->size;
    offset = CLAMP(offset, first->start, *ret_size);
    *ret_offset = offset;
    for (guint i = 0; i < segments->len && bytes->len < max; i++) {
        const Segment *segment = &g_array_index(segments, Segment, i);
        uint64_t at = offset + bytes->len;
        if (at < segment->start)
            break; /* a segment in between is gone: never join what does not follow */
        if (at < segment->start + segment->size)
            read_part(dir, stream, rank, segment, at - segment->start, max - bytes->len, bytes);
    }
    return g_byte_array_free_to_bytes(bytes);
}

GBytes *sl_segments_tail(const char *dir, const char *stream, unsigned rank, size_t max,
                         uint64_t *ret_offset, uint64_t *ret_size)
{
    g_autoptr(GArray) segments = list(dir, stream, rank);
    if (segments->len == 0)
        return NULL;
    const Segment *last = &g_array_index(segments, Segment, segments->len - 1);
    uint64_t end = last->start + last->size;
    return sl_segments_read(dir, stream, rank, end > max ? end - max : 0, max, ret_offset,
                            ret_size);
}
