// StatusScreen: a raylet's status for people. Takes the JSON of NodeStatus and returns one screen
// of text. Pure; any thread.
// Always holds: control characters in users' names become '?', since the text goes to a terminal. A
// missing part (from another version's raylet) shows as empty. Bytes that are no such JSON are a
// kProtocolError.
#pragma once

#include <string>

#include "base/result.h"

namespace raylet {

Result<std::string> StatusScreen(const std::string& json);

}  // namespace raylet
