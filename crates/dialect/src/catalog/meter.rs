//! Units that providers count and price.

/// A unit that is counted and priced. Tokens are priced by the million, and so are characters and pixels; seconds
/// are counted in milliseconds and priced by the second; everything else is counted and priced one by one. What is a
/// part of something stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each name is its own description; tokens unless it says otherwise")]
pub enum Meter {
    Input,
    InputAudio,
    InputImage,
    InputVideo,
    CacheRead,
    CacheReadAudio,
    /// For as long as the provider keeps it when not asked for more: five minutes or half an hour.
    CacheWrite,
    CacheWrite30m,
    CacheWrite1h,
    CacheWrite12h,
    Output,
    Reasoning,
    OutputAudio,
    OutputImage,
    OutputVideo,
    Citation,
    /// Of text to be spoken.
    Character,
    /// Of pictures made.
    Pixel,
    /// A picture made.
    Image,
    /// A picture in the prompt, where it costs apart from tokens.
    GivenImage,
    /// Of sound.
    Second,
    /// Of film made.
    VideoSecond,
    /// Of film in the prompt.
    GivenVideoSecond,
    /// Of the machine.
    GpuSecond,
    /// Read.
    Page,
    /// Read and annotated.
    AnnotatedPage,
    /// A call, where calls cost.
    Request,
    /// A question to a search engine or an index.
    Query,
    SearchUnit,
    WebSearch,
    MapsQuery,
    FileSearchCall,
    /// A container of a code interpreter.
    CodeSession,
    Session,
    /// A gigabyte kept for a day, counted in thousandths.
    StorageGbDay,
}

const THOUSAND: u64 = 1_000;
const MILLION: u64 = 1_000_000;

impl Meter {
    /// All of them.
    pub const ALL: [Self; 35] = [
        Self::Input,
        Self::InputAudio,
        Self::InputImage,
        Self::InputVideo,
        Self::CacheRead,
        Self::CacheReadAudio,
        Self::CacheWrite,
        Self::CacheWrite30m,
        Self::CacheWrite1h,
        Self::CacheWrite12h,
        Self::Output,
        Self::Reasoning,
        Self::OutputAudio,
        Self::OutputImage,
        Self::OutputVideo,
        Self::Citation,
        Self::Character,
        Self::Pixel,
        Self::Image,
        Self::GivenImage,
        Self::Second,
        Self::VideoSecond,
        Self::GivenVideoSecond,
        Self::GpuSecond,
        Self::Page,
        Self::AnnotatedPage,
        Self::Request,
        Self::Query,
        Self::SearchUnit,
        Self::WebSearch,
        Self::MapsQuery,
        Self::FileSearchCall,
        Self::CodeSession,
        Self::Session,
        Self::StorageGbDay,
    ];

    /// The one called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|meter| meter.name() == name)
    }

    /// Its name in the catalogue.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// How many counted units its price is for.
    #[must_use]
    pub fn per(self) -> u64 {
        self.row().1
    }

    /// The unit it is one of, at whose price it is billed where it has none of its own.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        self.row().2
    }

    /// Whether it is a kind of the input's or the output's tokens.
    #[must_use]
    pub fn is_of_prompt_or_answer(self) -> bool {
        matches!(self, Self::Input | Self::Output) || self.parent().is_some()
    }

    /// Name, units a price is for, parent.
    fn row(self) -> (&'static str, u64, Option<Self>) {
        match self {
            Self::Input => ("input", MILLION, None),
            Self::InputAudio => ("input_audio", MILLION, Some(Self::Input)),
            Self::InputImage => ("input_image", MILLION, Some(Self::Input)),
            Self::InputVideo => ("input_video", MILLION, Some(Self::Input)),
            Self::CacheRead => ("cache_read", MILLION, Some(Self::Input)),
            Self::CacheReadAudio => ("cache_read_audio", MILLION, Some(Self::CacheRead)),
            Self::CacheWrite => ("cache_write", MILLION, Some(Self::Input)),
            Self::CacheWrite30m => ("cache_write_30m", MILLION, Some(Self::CacheWrite)),
            Self::CacheWrite1h => ("cache_write_1h", MILLION, Some(Self::CacheWrite)),
            Self::CacheWrite12h => ("cache_write_12h", MILLION, Some(Self::CacheWrite)),
            Self::Output => ("output", MILLION, None),
            Self::Reasoning => ("reasoning", MILLION, Some(Self::Output)),
            Self::OutputAudio => ("output_audio", MILLION, Some(Self::Output)),
            Self::OutputImage => ("output_image", MILLION, Some(Self::Output)),
            Self::OutputVideo => ("output_video", MILLION, Some(Self::Output)),
            Self::Citation => ("citation", MILLION, None),
            Self::Character => ("character", MILLION, None),
            Self::Pixel => ("pixel", MILLION, None),
            Self::Image => ("image", 1, None),
            Self::GivenImage => ("given_image", 1, None),
            Self::Second => ("second", THOUSAND, None),
            Self::VideoSecond => ("video_second", THOUSAND, None),
            Self::GivenVideoSecond => ("given_video_second", THOUSAND, None),
            Self::GpuSecond => ("gpu_second", THOUSAND, None),
            Self::Page => ("page", 1, None),
            Self::AnnotatedPage => ("annotated_page", 1, None),
            Self::Request => ("request", 1, None),
            Self::Query => ("query", 1, None),
            Self::SearchUnit => ("search_unit", 1, None),
            Self::WebSearch => ("web_search", 1, None),
            Self::MapsQuery => ("maps_query", 1, None),
            Self::FileSearchCall => ("file_search_call", 1, None),
            Self::CodeSession => ("code_session", 1, None),
            Self::Session => ("session", 1, None),
            Self::StorageGbDay => ("storage_gb_day", THOUSAND, None),
        }
    }
}
