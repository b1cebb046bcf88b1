// ConfigFile: the settings of a plasma_store in a file: the lines of TOML that name one value each. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace raylet::store {

constexpr size_t kConfigBytesMax = 65536;

struct Setting {
  std::string key;    // letters, digits, - and _
  std::string value;  // of `"1G"`, `'1G'`, `8080` or `true`, without the quotes
  size_t line = 0;    // from 1
};

// Comments and empty lines are left out. kInvalid, with the number of the line: it is none of these, names a key twice,
// or begins a table.
Result<std::vector<Setting>> ParseConfig(std::string_view text);

}  // namespace raylet::store
