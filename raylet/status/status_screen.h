// StatusScreen: what a raylet says of itself, for people: the JSON of NodeStatus in, one screen of text out. Pure; any
// thread. What users named goes to a terminal, so control characters in it become '?'. A part that is missing (another
// version's raylet) shows as empty; bytes that are no such JSON are kProtocolError.
#pragma once

#include <string>

#include "base/result.h"

namespace raylet {

Result<std::string> StatusScreen(const std::string& json);

}  // namespace raylet
