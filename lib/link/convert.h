/* convert.h - between core's SlSigned and the wire's Signed message. */
#pragma once
#include "core/statement.h"
#include "proto/wire.h"

/* Fills a message that borrows from @s; free ret->sigs with g_free. */
void sl_wire_signed(const SlSigned *s, Sluice__Wire__Signed *ret);
SL_MUST_USE SlSigned *sl_wire_to_signed(const Sluice__Wire__Signed *message,
                                        GError **error); /* LIMIT, NULL message: INVALID */
