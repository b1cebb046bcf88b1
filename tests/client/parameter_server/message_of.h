// What a call throws, for tests that read it.
#pragma once

#include "tests/client/message_of.h"

namespace parameter_server_test {

using ray_test::MessageOf;

}  // namespace parameter_server_test
