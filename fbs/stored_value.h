// The metadata of a value that the ray:: layer puts into the store: a mark, then the ids of the
// objects and arrays that the value refers to, 20 bytes each. So a machine that keeps a value for
// others knows what else it has to keep, without reading the value. Arrays have a header of their
// own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fbs/ids.h"

namespace raylet {

constexpr char kValueMark = 'V';
constexpr char kFailureMark = 'F';

// A value names at most so many in its metadata; further ones are not kept for whoever claims it.
constexpr size_t kReferencesInMetadataMax = 50'000;

// A reply names at most so many that its lend covers.
constexpr size_t kReferencesInReplyMax = 5'000;

// It names at most so many arguments that its sender retains; where there are more, all stay.
constexpr size_t kRetainedInReplyMax = 1'000;

std::string ValueMetadata(std::span<const ObjectId> references);
bool IsValue(std::string_view metadata);
bool IsFailure(std::string_view metadata);
// None where it is no value's metadata.
std::vector<ObjectId> ReferencesIn(std::string_view metadata);

}  // namespace raylet
