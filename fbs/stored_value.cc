#include "fbs/stored_value.h"

#include <algorithm>

#include "fbs/id_lists.h"

namespace raylet {

std::string ValueMetadata(std::span<const ObjectId> references) {
  references = references.first(std::min(references.size(), kReferencesInMetadataMax));
  std::string metadata(1, kValueMark);
  return metadata.append(BytesOf(references));
}

bool IsValue(std::string_view metadata) {
  return !metadata.empty() && metadata[0] == kValueMark && (metadata.size() - 1) % ObjectId::kSize == 0;
}

bool IsFailure(std::string_view metadata) { return metadata.size() == 1 && metadata[0] == kFailureMark; }

bool NamesObjects(std::string_view metadata) { return IsValue(metadata) && metadata.size() > 1; }

std::vector<ObjectId> ReferencesIn(std::string_view metadata) {
  if (!IsValue(metadata)) return {};
  return IdsFromBytes(metadata.substr(1));
}

}  // namespace raylet
