// TellTerminal: the one place where the library itself writes to the program's standard error. Any thread.
#pragma once

#include <string_view>

namespace raylet::client {

// One line, "raylet: SENTENCE", in one write, so that it does not mix with the program's own lines. Control characters
// become question marks: names of resources and tasks may have any bytes.
void TellTerminal(std::string_view sentence);

}  // namespace raylet::client
