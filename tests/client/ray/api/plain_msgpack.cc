#include "tests/client/ray/api/plain_msgpack.h"

#include <msgpack.hpp>

namespace values_test {
namespace {

template <class T>
std::string PackAny(const T& value) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, value);
  return std::string(buffer.data(), buffer.size());
}

}  // namespace

std::string PackPlainly(double value) { return PackAny(value); }
std::string PackPlainly(float value) { return PackAny(value); }
std::string PackPlainly(const std::optional<std::optional<int>>& value) { return PackAny(value); }

}  // namespace values_test
