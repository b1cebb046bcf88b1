// What a serialized value refers to, wherever in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fbs/ids.h"

namespace raylet::client {

enum class ReferenceKind { kArrays, kAll };  // kAll: arrays, objects, and actors by their ids
std::vector<ObjectId> ReferencesInValue(std::string_view bytes, ReferenceKind kind = ReferenceKind::kAll);

// What the store keeps beside it. `refers`: it may refer to something; otherwise nobody looks.
std::string MetadataOf(std::string_view bytes, bool refers);

}  // namespace raylet::client
