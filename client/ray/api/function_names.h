// The text given to RAY_REMOTE, cut into names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace raylet::client {

// Splits at the outer commas. Commas within (), [], {} and the <> of template arguments belong to a name. Spaces around
// a name go.
std::vector<std::string> SplitAtOuterCommas(std::string_view text);

}  // namespace raylet::client
