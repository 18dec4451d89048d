/* enrolport.h - the enrolment port: any CURVE key may knock, a join token decides. */
#pragma once
#include "link/server.h"

typedef struct SlEnrolPort SlEnrolPort;
/* @context must have its ZAP handler already. Errors: PORT_IN_USE, ENDPOINT. */
SL_MUST_USE SlEnrolPort *sl_enrol_port_new(void *context, const SlServerConfig *config,
                                           GError **error);
void sl_enrol_port_free(SlEnrolPort *port);
void sl_enrol_port_reply(SlEnrolPort *port, const char *peer,
                         const Sluice__Wire__Envelope *envelope);
SlDoorCounts sl_enrol_port_counts(SlEnrolPort *port);
