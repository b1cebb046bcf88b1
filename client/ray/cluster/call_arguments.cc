#include "client/ray/cluster/call_arguments.h"

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/cluster/lent_hold.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/references.h"
#include "client/ray/cluster/store_access.h"

namespace raylet::client {

ClusterObjectPtr PutObject(const ObjectParts& parts, ray::internal::Packed value) {
  auto object = std::make_shared<ClusterObject>(parts, parts.link.NewId(), /*owned=*/true);
  ray::internal::Hold lend;
  if (!value.holds.empty()) lend = LentHold::OfAll(std::move(value.holds));
  if (value.bytes.size() <= kInlineValueBytesMax) {
    object->FulfilInline(std::move(value.bytes), std::move(lend));
  } else {
    const std::string metadata = MetadataOf(value.bytes, /*refers=*/lend != nullptr);
    if (const auto stored = parts.store.Write(object->id(), value.bytes, metadata); !stored) Throw(stored.error());
    object->FulfilStored(std::move(lend));
  }
  return object;
}

CallArguments::CallArguments(const ObjectParts& parts, std::vector<ray::internal::Argument> arguments) {
  if (arguments.size() > kCallArgumentsMax)
    throw ray::internal::RayException(
        StrCat("a call has ", arguments.size(), " arguments; at most ", kCallArgumentsMax, " are possible"));
  values_.reserve(arguments.size());
  size_t inline_bytes = 0;
  for (ray::internal::Argument& argument : arguments) {
    Value value;
    if (argument.reference != nullptr) {
      value.reference = ObjectOf(parts, argument.reference);
    } else if (argument.value.bytes.size() > kInlineValueBytesMax ||
               inline_bytes + argument.value.bytes.size() > kInlineCallBytesMax) {
      ray::internal::Packed& packed = argument.value;
      if (packed.bytes.size() <= kInlineValueBytesMax) {
        value.reference = PutObject(parts, std::move(packed));
        if (const auto promoted = value.reference->Promote(); !promoted) Throw(promoted.error());
      } else {
        value.reference = PutObject(parts, std::move(packed));
      }
    } else {
      inline_bytes += argument.value.bytes.size();
      value.bytes = std::move(argument.value.bytes);
      for (auto& hold : argument.value.holds) holds_.push_back(std::move(hold));
    }
    values_.push_back(std::move(value));
  }
}

size_t CallArguments::inline_bytes() const {
  size_t bytes = 0;
  for (const Value& value : values_) bytes += value.bytes.size();
  return bytes;
}

ClusterObjectPtr CallArguments::FirstUnready() const {
  for (const Value& value : values_)
    if (value.reference != nullptr && value.reference->owned() && !value.reference->ready()) return value.reference;
  return nullptr;
}

FailurePtr CallArguments::Resolve(std::vector<ValueView>& out) {
  out.clear();
  size_t inline_total = inline_bytes();
  for (const Value& value : values_) {
    ValueView view;
    view.bytes = value.bytes;
    if (const ClusterObjectPtr& object = value.reference; object != nullptr) {
      switch (object->status()) {
        case ObjectStatus::kFailed: return object->failure();
        case ObjectStatus::kInline: {
          const size_t bytes = object->bytes().size();
          // Holds the object itself if its value refers to others; otherwise its bytes are enough.
          if (bytes <= kInlineValueBytesMax && inline_total + bytes <= kInlineCallBytesMax) {
            inline_total += bytes;
            view.bytes = object->bytes();
            if (object->lend() != nullptr) holds_.push_back(LentHold::OfObject(object));
            break;
          }
          if (const auto promoted = object->Promote(); !promoted) return FailureOf(promoted.error(), "an argument");
          [[fallthrough]];
        }
        case ObjectStatus::kPending:  // borrowed: the callee waits for the object
        case ObjectStatus::kStored:
          view = ValueView{ValueView::Kind::kStored, {}, object->id()};
          holds_.push_back(LentHold::OfObject(object));
          break;
      }
    }
    out.push_back(view);
  }
  return nullptr;
}

}  // namespace raylet::client
