#include <ray/parameter_server/layout.h>

#include <ray/api/exceptions.h>

namespace ray::ps::internal {

using ray::internal::RayException;

Layout SplitEvenly(size_t size, size_t shards) {
  if (shards == 0) throw RayException("parameters in 0 shards were asked for: a server has 1 shard or more");
  if (size < shards)
    throw RayException(std::to_string(size) + " parameters in " + std::to_string(shards) +
                       " shards were asked for: each shard has 1 parameter or more");
  Layout layout;
  for (size_t i = 0; i <= shards; ++i) layout.offsets.push_back(size / shards * i + std::min(i, size % shards));
  return layout;
}

const TensorPlace& PlaceOf(const Layout& layout, const std::string& tensor) {
  const auto found = layout.tensors.find(tensor);
  if (found != layout.tensors.end()) return found->second;
  std::string names;
  for (const auto& [name, place] : layout.tensors) names += (names.empty() ? "" : ", ") + name;
  throw RayException("there is no tensor '" + tensor + "': " +
                     (names.empty() ? "the parameters were created without named tensors" : "there are " + names));
}

void CheckSize(const char* what, size_t given, size_t wanted) {
  if (given != wanted)
    throw RayException(std::string(what) + " has " + std::to_string(given) + " elements, and " +
                       std::to_string(wanted) + " were expected");
}

}  // namespace ray::ps::internal
