// What a serialized value refers to, wherever in it.
#pragma once

#include <string_view>
#include <vector>

#include "fbs/ids.h"

namespace raylet::client {

enum class ReferenceKind { kArrays, kAll };  // kAll: arrays, objects, and actors by their ids
std::vector<ObjectId> ReferencesInValue(std::string_view bytes, ReferenceKind kind = ReferenceKind::kAll);

}  // namespace raylet::client
