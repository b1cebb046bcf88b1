// Which object a user means: its id, or the first digits of it. Pure.
#pragma once

#include <string>

#include "base/result.h"
#include "tools/objstat/snapshot.h"

namespace raylet::objstat {

constexpr size_t kDigitsMin = 4;

// Lower-case digits. kInvalid unless the text is kDigitsMin to 40 hexadecimal digits.
Result<std::string> CheckIdText(const std::string& text);

// The object whose id begins with these digits: of several with one id, the one that is not dying. kNotFound: there
// is none. kInvalid: several ids begin so.
Result<const Object*> ChooseObject(const Snapshot& snapshot, const std::string& digits);

// "trainer (pid 12)", with the program's name where it is another; "client 7, which has ended".
std::string ClientText(const Snapshot& snapshot, uint32_t client);

}  // namespace raylet::objstat
