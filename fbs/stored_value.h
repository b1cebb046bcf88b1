// The metadata of a value of the ray:: layer in the store: a mark, then the ids of the objects and arrays in the value,
// 20 bytes each. So a machine that keeps a value for others need not read it to know which other objects it must keep.
// Arrays have no metadata: their data says what they are.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fbs/ids.h"

namespace raylet {

constexpr char kValueMark = 'V';
constexpr char kFailureMark = 'F';

// How many references a value names in its metadata. A raylet does not keep further ones for a process that claims the
// value.
constexpr size_t kReferencesInMetadataMax = 50'000;

// How many references of its lend a reply names.
constexpr size_t kReferencesInReplyMax = 5'000;

// It names at most so many arguments that its sender retains; where there are more, all stay.
constexpr size_t kRetainedInReplyMax = 1'000;

std::string ValueMetadata(std::span<const ObjectId> references);
bool IsValue(std::string_view metadata);
bool IsFailure(std::string_view metadata);
bool NamesObjects(std::string_view metadata);  // a value with references
// None where the metadata is not a value's.
std::vector<ObjectId> ReferencesIn(std::string_view metadata);

}  // namespace raylet
