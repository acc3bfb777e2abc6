//! Amazon's regions, alone and in the names of Bedrock's hosts.

/// Domains of Bedrock's hosts. Amazon's customers have machines, buckets and load balancers under them too.
const DOMAINS: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
const SERVICES: [&str; 2] = ["bedrock-runtime", "bedrock-runtime-fips"];

/// Whether `name` can be a region's: `us-east-1`, `us-gov-west-1`.
#[must_use]
pub fn is_region(name: &str) -> bool {
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once('-').is_some_and(|(words, number)| {
        is_number(number) && words.contains('-') && words.split('-').all(is_word)
    })
}

/// The region that `host` serves models of; `None` where it is none of Bedrock's.
#[must_use]
pub fn of_host(host: &str) -> Option<&str> {
    let own = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain))?;
    // Of an endpoint within a private network.
    let (service, region) = own.strip_suffix(".vpce").unwrap_or(own).rsplit_once('.')?;
    let service = service.rsplit('.').next()?;
    (SERVICES.contains(&service) && is_region(region)).then_some(region)
}

/// Where Bedrock serves the models of `region`.
#[must_use]
pub fn url(region: &str) -> String {
    let country = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://bedrock-runtime.{region}.amazonaws.com{country}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_told_from_other_names() {
        for (name, want) in [
            ("us-east-1", true),
            ("us-gov-west-1", true),
            ("ap-southeast-12", true),
            ("us-east", false),
            ("east-1", false),
            ("us-east-1a", false),
            ("s3-us-west-2", false),
            ("us--1", false),
            ("US-EAST-1", false),
            ("us-east-1/x", false),
            ("", false),
        ] {
            assert_eq!(is_region(name), want, "{name}");
        }
    }

    #[test]
    fn bedrocks_hosts_name_their_region_and_others_are_not_bedrocks() {
        for (host, want) in [
            ("bedrock-runtime.us-east-1.amazonaws.com", Some("us-east-1")),
            ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("bedrock-runtime.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("bedrock-runtime.eu-west-1.api.aws", Some("eu-west-1")),
            ("vpce-1a-2b.bedrock-runtime.eu-west-1.vpce.amazonaws.com", Some("eu-west-1")),
            ("ec2-3-4-5-6.compute-1.amazonaws.com", None),
            ("models-1.us-east-1.elb.amazonaws.com", None),
            ("abc.execute-api.us-east-1.amazonaws.com", None),
            ("bedrock-runtime.s3.amazonaws.com", None),
            ("bedrock-runtime.us-east-1.example.com", None),
            ("bedrock-runtime.amazonaws.com", None),
            ("us-east-1.amazonaws.com", None),
        ] {
            assert_eq!(of_host(host), want, "{host}");
        }
        for region in ["us-east-1", "cn-north-1"] {
            let url = url(region);
            assert_eq!(url.strip_prefix("https://").and_then(of_host), Some(region), "{url}");
        }
    }
}
