#include <ray/internal/abi.h>

namespace ray::internal {

const char RAYLET_ABI_OF_STRINGS = 0;
const char RAYLET_ABI_OF_CONTAINERS = 0;

}  // namespace ray::internal
