// References: finds the ids in a serialized value, however deep they lie.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fbs/ids.h"

namespace raylet::client {

enum class ReferenceKind { kArrays, kAll };  // kAll: arrays, objects, and actors by their ids
std::vector<ObjectId> ReferencesInValue(std::string_view bytes, ReferenceKind kind = ReferenceKind::kAll);

// The metadata that the store keeps beside the value. `refers`: the value may have references; false spares the search.
std::string MetadataOf(std::string_view bytes, bool refers);

}  // namespace raylet::client
