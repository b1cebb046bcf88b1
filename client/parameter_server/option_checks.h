// What the numbers of Options have to be. Called by Create, before any actor starts.
#pragma once

#include <ray/parameter_server/options.h>

namespace ray::ps::internal {

// Throws RayException for a rate, a factor or a bound that no training could use: it names the field, its value and
// what it takes.
void CheckNumbers(const Options& options);

}  // namespace ray::ps::internal
