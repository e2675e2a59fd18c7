/* Signals as a fresh program finds them: for a child between fork and its own work. */
#ifndef KILN_BASE_SIGNALS_H
#define KILN_BASE_SIGNALS_H

/* Every action is the default (handlers would go by exec, ignored signals would not), nothing is blocked. */
void signals_reset(void);

#endif
