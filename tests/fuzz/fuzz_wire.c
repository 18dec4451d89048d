/* fuzz_wire.c - envelopes in every direction and role. */
#include "fuzz.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int i = 0; i < 4; i++) {
        Sluice__Wire__Envelope *envelope = sl_wire_unpack(data, size, (SlDirection)(i & 1), (SlMessageRole)(i >> 1), NULL);
        if (envelope != NULL) {
            sl_wire_free(envelope);
        }
    }
    return 0;
}
