#include "client/ray/cluster/references.h"

#include <ray/api/serializer.h>

#include "fbs/stored_value.h"

namespace raylet::client {

std::vector<ObjectId> ReferencesInValue(std::string_view bytes, ReferenceKind kind) {
  struct Visitor : msgpack::null_visitor {
    bool visit_ext(const char* body, uint32_t size) {  // its kind comes first
      if (size < 1 + ObjectId::kSize) return true;
      const bool actor = body[0] == ray::internal::kExtActor;
      if (size != 1 + ObjectId::kSize && !(actor && size == 1 + ray::internal::kActorWithRetriesBytes)) return true;
      const bool other = body[0] == ray::internal::kExtReference || actor;
      if (body[0] == ray::internal::kExtArray || (all && other))
        found.push_back(ObjectId::FromBinary({body + 1, ObjectId::kSize}));
      return true;
    }
    bool all = false;
    std::vector<ObjectId> found;
  } visitor;
  visitor.all = kind == ReferenceKind::kAll;
  // The unpacking reports a value that cannot be read.
  if (!bytes.empty() && bytes[0] == ray::internal::kFormatMsgpack)
    (void)msgpack::parse(bytes.data() + 1, bytes.size() - 1, visitor);
  return std::move(visitor.found);
}

std::string MetadataOf(std::string_view bytes, bool refers) {
  return ValueMetadata(refers ? ReferencesInValue(bytes) : std::vector<ObjectId>());
}

}  // namespace raylet::client
