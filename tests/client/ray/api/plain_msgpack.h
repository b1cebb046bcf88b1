// msgpack-c as a file uses it that knows nothing of ray::.
#pragma once

#include <optional>
#include <string>

namespace values_test {

std::string PackPlainly(double value);
std::string PackPlainly(float value);
std::string PackPlainly(const std::optional<std::optional<int>>& value);

}  // namespace values_test
