#include "fbs/stored_value.h"

#include <algorithm>

namespace raylet {

std::string ValueMetadata(std::span<const ObjectId> references) {
  references = references.first(std::min(references.size(), kReferencesInMetadataMax));
  std::string metadata(1, kValueMark);
  metadata.reserve(1 + references.size() * ObjectId::kSize);
  for (const ObjectId& id : references) metadata.append(reinterpret_cast<const char*>(id.data()), ObjectId::kSize);
  return metadata;
}

bool IsValue(std::string_view metadata) {
  return !metadata.empty() && metadata[0] == kValueMark && (metadata.size() - 1) % ObjectId::kSize == 0;
}

bool IsFailure(std::string_view metadata) { return metadata.size() == 1 && metadata[0] == kFailureMark; }

std::vector<ObjectId> ReferencesIn(std::string_view metadata) {
  std::vector<ObjectId> references;
  if (!IsValue(metadata)) return references;
  for (metadata.remove_prefix(1); !metadata.empty(); metadata.remove_prefix(ObjectId::kSize))
    references.push_back(ObjectId::FromBinary(metadata.substr(0, ObjectId::kSize)));
  return references;
}

}  // namespace raylet
