/* wire.c - envelopes: pack, and unpack with every cap checked before and after. Pure.
 *
 * Order of checks on bytes from outside, cheapest first, nothing allocated before the fourth:
 *   1. outer frame: exactly one length-delimited field that fills the whole buffer
 *   2. its number is a row of messages.def, for this direction and this role
 *   3. size against the row
 *   4. unpack by protobuf-c into at most HEAP_MAX bytes (hostile bytes expand 48 times)
 *   5. no unknown field, every text clean UTF-8, every list, digest and nonce within its limits
 * Signed texts are only carried here, never looked into. */
#include "proto/wire.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define HEAP_MAX (4 * 1024 * 1024)
#define SIGS_MAX 16        /* signatures of one statement, as core/statement.h */
#define SIG_BYTES_MAX 4096 /* one armour, as core/sshsig.h */
#define STEPS_MAX 64       /* roots or registries in one message; more go in several */
#define TEXT_MAX 1024      /* any other text: names, versions, reasons */
#define NONCE_BYTES 16
#define DIGEST_BYTES 32

static const SlMessageInfo table[SL_N_MESSAGES] = {
#define SL_MESSAGE(name_, NAME, direction_, max_, role_)                                           \
    [SL_MESSAGE_##NAME] = {#name_, SL_DIRECTION_##direction_, max_, SL_ROLE_##role_},
#include "proto/messages.def"
#undef SL_MESSAGE
};

/* The number of a row is its field number in the envelope less one. */
#define SL_MESSAGE(name_, NAME, direction_, max_, role_)                                           \
    _Static_assert((int)SL_MESSAGE_##NAME + 1 == (int)SLUICE__WIRE__ENVELOPE__BODY_##NAME,         \
                   "messages.def and envelope.proto differ at " #name_);
#include "proto/messages.def"
#undef SL_MESSAGE

const SlMessageInfo *sl_message_info(SlMessageType type)
{
    return &table[type];
}

SlMessageType sl_message_type(const Sluice__Wire__Envelope *envelope)
{
    int number = (int)envelope->body_case - 1;
    return number >= 0 && number < (int)SL_N_MESSAGES ? (SlMessageType)number : SL_N_MESSAGES;
}

GBytes *sl_wire_pack(const Sluice__Wire__Envelope *envelope)
{
    size_t len = sluice__wire__envelope__get_packed_size(envelope);
    uint8_t *bytes = g_malloc(MAX(len, 1));
    sluice__wire__envelope__pack(envelope, bytes);
    return g_bytes_new_take(bytes, len);
}

void sl_wire_free(Sluice__Wire__Envelope *envelope)
{
    if (envelope != NULL) {
        sluice__wire__envelope__free_unpacked(envelope, NULL);
    }
}

/* ---- before unpacking ---- */

static bool read_varint(const uint8_t *bytes, size_t len, size_t *at, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && *at < len; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Number of the one field that the buffer is made of, or 0. */
static uint64_t outer_field(const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    uint64_t tag = 0, body = 0;
    if (!read_varint(bytes, len, &at, &tag) || (tag & 7) != 2 ||
        !read_varint(bytes, len, &at, &body) || body != len - at) {
        return 0;
    }
    return tag >> 3;
}

static const char *direction_name(SlDirection direction)
{
    return direction == SL_DIRECTION_UP ? "from an agent" : "from a coordinator";
}

static bool check_frame(const uint8_t *bytes, size_t len, SlDirection direction, SlMessageRole role,
                        GError **error)
{
    uint64_t field = outer_field(bytes, len);
    if (field == 0) {
        return sl_throw(error, SLU_WIRE_FORMAT, "message of %zu bytes: not one whole envelope",
                        len);
    }
    if (field > (uint64_t)SL_N_MESSAGES) {
        return sl_throw(error, SLU_WIRE_FORMAT, "message of unknown type %" G_GUINT64_FORMAT,
                        field);
    }
    const SlMessageInfo *info = &table[field - 1];
    if (info->direction != direction) {
        return sl_throw(error, SLU_WIRE_FORMAT, "message %s does not come %s", info->name,
                        direction_name(direction));
    }
    if (info->role != role) {
        return sl_throw(error, SLU_WIRE_FORMAT, "message %s is not taken on the %s port",
                        info->name, role == SL_ROLE_AGENT ? "agents'" : "enrolment");
    }
    if (len > info->bytes_max) {
        return sl_throw(error, SLU_LIMIT, "message %s of %zu bytes: at most %zu", info->name, len,
                        info->bytes_max);
    }
    return true;
}

/* ---- capped heap ---- */

typedef struct {
    size_t left;
    bool exceeded;
} Heap;

static void *take(void *user, size_t size)
{
    Heap *heap = user;
    if (size > heap->left) {
        heap->exceeded = true;
        return NULL;
    }
    heap->left -= size;
    return malloc(MAX(size, 1));
}

static void give_back(void *user, void *block)
{
    (void)user;
    free(block);
}

/* ---- after unpacking: what holds for every message, by its descriptor ---- */

static bool check_message(const ProtobufCMessage *message, GError **error);

static bool check_text(const ProtobufCFieldDescriptor *field, const char *text, GError **error)
{
    size_t len = text != NULL ? strlen(text) : 0;
    size_t max = strcmp(field->name, "sigs") == 0 ? SIG_BYTES_MAX : TEXT_MAX;
    if (len > max) {
        return sl_throw(error, SLU_LIMIT, "field %s of %zu bytes: at most %zu", field->name, len,
                        max);
    }
    if (len > 0 && !sl_is_clean_utf8(text, len, false)) {
        return sl_throw(error, SLU_WIRE_FORMAT, "field %s is not clean UTF-8 text", field->name);
    }
    return true;
}

static bool check_value(const ProtobufCFieldDescriptor *field, const void *value, GError **error)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *inner = *(const ProtobufCMessage *const *)value;
        return inner == NULL || check_message(inner, error);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return check_text(field, *(const char *const *)value, error);
    }
    return true;
}

static bool check_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                        GError **error)
{
    const char *base = (const char *)message;
    const void *member = base + field->offset;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        bool other_case =
            (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id;
        return other_case || check_value(field, member, error);
    }
    size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
    size_t max = strcmp(field->name, "sigs") == 0 ? SIGS_MAX : STEPS_MAX;
    if (count > max) {
        return sl_throw(error, SLU_LIMIT, "field %s has %zu entries: at most %zu", field->name,
                        count, max);
    }
    /* All lists of envelope.proto are of pointers: messages or texts. */
    const void *const *entries = *(const void *const *const *)member;
    for (size_t i = 0; i < count; i++) {
        if (!check_value(field, &entries[i], error)) {
            return false;
        }
    }
    return true;
}

static bool check_message(const ProtobufCMessage *message, GError **error)
{
    if (message->n_unknown_fields > 0) {
        return sl_throw(error, SLU_WIRE_FORMAT, "message %s has unknown field %u",
                        message->descriptor->short_name, message->unknown_fields[0].tag);
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        if (!check_field(message, &message->descriptor->fields[i], error)) {
            return false;
        }
    }
    return true;
}

/* ---- after unpacking: what each message needs ---- */

static bool need_bytes(const char *what, const ProtobufCBinaryData *bytes, size_t len,
                       GError **error)
{
    return bytes->len == len || sl_throw(error, SLU_WIRE_FORMAT, "%s has %zu bytes instead of %zu",
                                         what, bytes->len, len);
}

static bool need_signed(const char *what, const Sluice__Wire__Signed *s, GError **error)
{
    return (s != NULL && s->text.len > 0) ||
           sl_throw(error, SLU_WIRE_FORMAT, "message %s carries no statement", what);
}

static bool need_list(const char *what, Sluice__Wire__Signed *const *list, size_t count,
                      GError **error)
{
    for (size_t i = 0; i < count; i++) {
        if (!need_signed(what, list[i], error)) {
            return false;
        }
    }
    return true;
}

static bool check_fetch(const Sluice__Wire__Fetch *fetch, GError **error)
{
    if (fetch->max == 0 || fetch->max > SL_FETCH_MAX) {
        return sl_throw(error, SLU_LIMIT, "fetch of %u bytes: from 1 to %d", fetch->max,
                        SL_FETCH_MAX);
    }
    if ((int)fetch->kind < 0 || (int)fetch->kind > SLUICE__WIRE__FETCH__KIND__STATEMENT) {
        return sl_throw(error, SLU_WIRE_FORMAT, "fetch of unknown kind %d", (int)fetch->kind);
    }
    return need_bytes("digest of a fetch", &fetch->digest, DIGEST_BYTES, error);
}

static bool check_chunk(const Sluice__Wire__Chunk *chunk, GError **error)
{
    if (chunk->data.len > SL_FETCH_MAX) {
        return sl_throw(error, SLU_LIMIT, "chunk of %zu bytes: at most %d", chunk->data.len,
                        SL_FETCH_MAX);
    }
    if (chunk->data.len > chunk->total || chunk->offset > chunk->total - chunk->data.len) {
        return sl_throw(error, SLU_WIRE_FORMAT, "chunk reaches past its own total");
    }
    return need_bytes("digest of a chunk", &chunk->digest, DIGEST_BYTES, error);
}

static bool check_enrol(const Sluice__Wire__Enrol *enrol, GError **error)
{
    return need_signed("enrol", enrol->request, error) &&
           need_bytes("token id", &enrol->token_id, 16, error) &&
           need_bytes("proof", &enrol->proof, 32, error);
}

static bool check_body(const Sluice__Wire__Envelope *e, GError **error)
{
    switch (e->body_case) {
    case SLUICE__WIRE__ENVELOPE__BODY_HELLO:
        return need_bytes("nonce", &e->hello->nonce, NONCE_BYTES, error);
    case SLUICE__WIRE__ENVELOPE__BODY_STEPS:
        return need_list("steps", e->steps->roots, e->steps->n_roots, error) &&
               need_list("steps", e->steps->registries, e->steps->n_registries, error);
    case SLUICE__WIRE__ENVELOPE__BODY_HEAD:
        return need_signed("head", e->head->head, error);
    case SLUICE__WIRE__ENVELOPE__BODY_FETCH:
        return check_fetch(e->fetch, error);
    case SLUICE__WIRE__ENVELOPE__BODY_CHUNK:
        return check_chunk(e->chunk, error);
    case SLUICE__WIRE__ENVELOPE__BODY_REPORT:
        return need_signed("report", e->report->report, error);
    case SLUICE__WIRE__ENVELOPE__BODY_SEAL:
        return need_signed("seal", e->seal->seal, error);
    case SLUICE__WIRE__ENVELOPE__BODY_SEAL_ACK:
        return need_bytes("digest of a seal", &e->seal_ack->digest, DIGEST_BYTES, error);
    case SLUICE__WIRE__ENVELOPE__BODY_ENROL:
        return check_enrol(e->enrol, error);
    case SLUICE__WIRE__ENVELOPE__BODY_ENROL_REPLY:
        return (e->enrol_reply->server_key.len == 0 ||
                need_bytes("server key", &e->enrol_reply->server_key, 32, error)) &&
               need_list("enrol reply", e->enrol_reply->roots, e->enrol_reply->n_roots, error) &&
               need_list("enrol reply", e->enrol_reply->registries, e->enrol_reply->n_registries,
                         error);
    case SLUICE__WIRE__ENVELOPE__BODY_RESET:
    case SLUICE__WIRE__ENVELOPE__BODY_REPORT_ACK:
    case SLUICE__WIRE__ENVELOPE__BODY_LOG_REQUEST:
    case SLUICE__WIRE__ENVELOPE__BODY_LOG_DATA:
        return true;
    default:
        return sl_throw(error, SLU_WIRE_FORMAT, "empty envelope");
    }
}

Sluice__Wire__Envelope *sl_wire_unpack(const void *bytes, size_t len, SlDirection direction,
                                       SlMessageRole role, GError **error)
{
    if (!check_frame(bytes, len, direction, role, error)) {
        return NULL;
    }
    Heap heap = {.left = HEAP_MAX};
    ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = &heap};
    Sluice__Wire__Envelope *envelope = sluice__wire__envelope__unpack(&allocator, len, bytes);
    if (envelope == NULL) {
        return heap.exceeded
                   ? sl_throw_null(error, SLU_LIMIT, "message of %zu bytes unpacks to more than %d",
                                   len, HEAP_MAX)
                   : sl_throw_null(error, SLU_WIRE_FORMAT, "message of %zu bytes does not unpack",
                                   len);
    }
    if (!check_message(&envelope->base, error) || !check_body(envelope, error)) {
        sl_wire_free(envelope);
        return NULL;
    }
    return envelope;
}
