/* stacks-plt.c with the other kind of PLT, that code for Intel's CET has (.plt.sec). */
/* FLAGS: -fno-builtin -fplt -fcf-protection -Wl,-z,lazy -Wl,-z,ibtplt */
#include "stacks-plt.c"
