// Lists of ids, as messages and records carry them: whole, or in pieces that fit into one message each. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "fbs/ids.h"

namespace raylet {

// One message names this many objects at most. So none comes near the limit of a frame, and none keeps the loop that
// hears it busy for long.
constexpr size_t kObjectsPerMessage = 2'000;
// A loop that has work for very many objects does it for so many in one turn.
constexpr size_t kObjectsPerTurn = 500;

inline std::vector<ObjectId> FromWire(std::span<const wire::Id20> ids) {
  std::vector<ObjectId> objects;
  objects.reserve(ids.size());
  for (const wire::Id20& id : ids) objects.push_back(FromWire<ObjectId>(id));
  return objects;
}

// Of a list in a message that is read in place. Empty where it is missing.
inline std::vector<ObjectId> FromWire(const flatbuffers::Vector<const wire::Id20*>* ids) {
  std::vector<ObjectId> objects;
  if (ids == nullptr) return objects;
  objects.reserve(ids->size());
  for (const wire::Id20* const id : *ids) objects.push_back(FromWire<ObjectId>(*id));
  return objects;
}

inline std::vector<wire::Id20> ToWire(std::span<const ObjectId> objects) {
  std::vector<wire::Id20> ids;
  ids.reserve(objects.size());
  for (const ObjectId& object : objects) ids.push_back(ToWire(object));
  return ids;
}

// The bytes of the ids, 20 each. The view lives as long as the ids.
inline std::string_view BytesOf(std::span<const ObjectId> objects) {
  static_assert(sizeof(ObjectId) == ObjectId::kSize);
  return {reinterpret_cast<const char*>(objects.data()), objects.size_bytes()};
}
// The ids in these bytes. Bytes left over after the last whole id are ignored.
inline std::vector<ObjectId> IdsFromBytes(std::string_view bytes) {
  std::vector<ObjectId> objects;
  objects.reserve(bytes.size() / ObjectId::kSize);
  for (; bytes.size() >= ObjectId::kSize; bytes.remove_prefix(ObjectId::kSize))
    objects.push_back(ObjectId::FromBinary(bytes.substr(0, ObjectId::kSize)));
  return objects;
}

// Calls `tell` with each piece of `all`, a vector of at most kObjectsPerMessage. An empty `all` means no call.
template <class Element, class Tell>
void InPieces(std::vector<Element> all, const Tell& tell) {
  if (all.empty()) return;
  if (all.size() <= kObjectsPerMessage) return tell(std::move(all));
  for (std::span<const Element> rest = all; !rest.empty();) {
    const auto piece = rest.first(std::min(rest.size(), kObjectsPerMessage));
    rest = rest.subspan(piece.size());
    tell(std::vector<Element>(piece.begin(), piece.end()));
  }
}

}  // namespace raylet
