// Here by the name that programs written for Ray include.
#pragma once

#include <ray/internal/arguments.h>
